// SPDX-License-Identifier: Apache-2.0
import RMAP

/// A range of a program's address space and the slots of the region that belong there.
public struct Area: Equatable, Sendable {
  /// Whose memory: an index of the service's ``UserfaultfdTable``.
  public var userfaultfd: Int
  /// Where it begins, a multiple of 4,096.
  public var address: UInt64
  /// The slot of its first page.
  public var firstSlot: UInt64
  public var pages: UInt64

  public init(userfaultfd: Int = 0, address: UInt64, firstSlot: UInt64 = 0, pages: UInt64) {
    self.userfaultfd = userfaultfd
    self.address = address
    self.firstSlot = firstSlot
    self.pages = pages
  }

  /// Its slots.
  public var slots: Range<UInt64> { firstSlot..<firstSlot + pages }
  /// Its addresses.
  public var addresses: Range<UInt64> {
    address..<address + pages * UInt64(Wire.pageBytes)
  }

  /// Where the page of one of its slots is.
  @inline(__always)
  public func address(of slot: UInt64) -> UInt64 {
    address + (slot - firstSlot) * UInt64(Wire.pageBytes)
  }
}

/// The areas of a service, found by slot and by address in a time that grows with the logarithm of their
/// number. No slot and no address is in two of them.
public struct Areas: ~Copyable {
  /// The most that one service has.
  public static var maxCount: Int { 65_536 }
  /// Addresses of user space end below this.
  private static var addressLimit: UInt64 { 1 << 56 }

  public let count: Int
  /// By first slot.
  private let bySlot: UnsafeMutablePointer<Area>
  /// By userfaultfd, then by address.
  private let byAddress: UnsafeMutablePointer<Area>

  /// - Parameters:
  ///   - areas: in any order, at least one.
  ///   - slots: how many the region has.
  ///   - userfaultfds: how many the service has.
  /// - Throws: when one is not made of whole pages, names a userfaultfd that there is not, reaches beyond the
  ///   region, or shares a slot or an address with another.
  public init(
    _ areas: [Area], slots: UInt64, userfaultfds: Int
  ) throws(RemoteMemoryError) {
    guard !areas.isEmpty, areas.count <= Self.maxCount else {
      throw RemoteMemoryError("a service has 1 to \(Self.maxCount) areas, not \(areas.count)")
    }
    for area in areas { try Self.check(area, slots: slots, userfaultfds: userfaultfds) }
    let slotOrder = areas.sorted { $0.firstSlot < $1.firstSlot }
    let addressOrder = areas.sorted {
      ($0.userfaultfd, $0.address) < ($1.userfaultfd, $1.address)
    }
    for index in 1..<max(1, areas.count) {
      let (former, next) = (slotOrder[index - 1], slotOrder[index])
      guard former.slots.upperBound <= next.firstSlot else {
        throw RemoteMemoryError("slot \(next.firstSlot) is in two areas")
      }
    }
    for index in 1..<max(1, areas.count) {
      let (former, next) = (addressOrder[index - 1], addressOrder[index])
      guard
        former.userfaultfd != next.userfaultfd || former.addresses.upperBound <= next.address
      else {
        throw RemoteMemoryError("address 0x\(String(next.address, radix: 16)) is in two areas")
      }
    }
    count = areas.count
    bySlot = Self.table(slotOrder)
    byAddress = Self.table(addressOrder)
  }

  deinit {
    bySlot.deallocate()
    byAddress.deallocate()
  }

  private static func check(
    _ area: Area, slots: UInt64, userfaultfds: Int
  ) throws(RemoteMemoryError) {
    let place = "area at 0x\(String(area.address, radix: 16))"
    guard (0..<userfaultfds).contains(area.userfaultfd) else {
      throw RemoteMemoryError(
        "\(place): there is no userfaultfd \(area.userfaultfd), only \(userfaultfds)")
    }
    let page = UInt64(Wire.pageBytes)
    guard area.address % page == 0 else {
      throw RemoteMemoryError("\(place): not at a multiple of \(page)")
    }
    guard area.pages > 0, area.pages <= addressLimit / page,
      area.address <= addressLimit - area.pages * page
    else {
      throw RemoteMemoryError("\(place): \(area.pages) pages do not fit into address space")
    }
    guard area.firstSlot <= slots, area.pages <= slots - area.firstSlot else {
      throw RemoteMemoryError(
        "\(place): the region is smaller than the mapping: \(area.pages) pages from slot"
          + " \(area.firstSlot) on, and the region has \(slots) slots")
    }
  }

  private static func table(_ areas: [Area]) -> UnsafeMutablePointer<Area> {
    let table = UnsafeMutablePointer<Area>.allocate(capacity: areas.count)
    for (index, area) in areas.enumerated() { (table + index).initialize(to: area) }
    return table
  }

  /// The areas, by first slot.
  public subscript(index: Int) -> Area {
    precondition(index < count)
    return bySlot[index]
  }

  /// The area of a slot; nil when it has none.
  @inline(__always)
  public func area(of slot: UInt64) -> Area? {
    let index = Self.lastIndex(count) { bySlot[$0].firstSlot <= slot }
    guard index >= 0, slot - bySlot[index].firstSlot < bySlot[index].pages else { return nil }
    return bySlot[index]
  }

  /// The area of an address, which may be inside a page; nil when it has none.
  @inline(__always)
  public func area(userfaultfd: Int, address: UInt64) -> Area? {
    let index = Self.lastIndex(count) {
      let area = byAddress[$0]
      return area.userfaultfd < userfaultfd
        || area.userfaultfd == userfaultfd && area.address <= address
    }
    guard index >= 0 else { return nil }
    let area = byAddress[index]
    guard area.userfaultfd == userfaultfd, address < area.addresses.upperBound else { return nil }
    return area
  }

  /// The slot of an address, which may be inside a page; nil when it has none.
  @inline(__always)
  public func slot(userfaultfd: Int, address: UInt64) -> UInt64? {
    guard let area = area(userfaultfd: userfaultfd, address: address) else { return nil }
    return area.firstSlot + (address - area.address) / UInt64(Wire.pageBytes)
  }

  /// The last index of which `holds` is true, when it is true up to there and not behind; or -1.
  @inline(__always)
  private static func lastIndex(_ count: Int, _ holds: (Int) -> Bool) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if holds(middle) { low = middle + 1 } else { high = middle }
    }
    return low - 1
  }
}
