// SPDX-License-Identifier: Apache-2.0
import Prepaging
import RMAP

/// One post-copy of a region: what the client has said before it began, and then which page goes next.
///
/// What a ``RegionStore`` answers of post-copy, for any store: memxd's and the simulator's.
public struct RegionTransfer: ~Copyable {
  private let slots: Int
  private var order: [SlotRange?] = []
  /// A bit for each slot that the client does not need; made when it says of the first.
  private var had: UnsafeMutablePointer<UInt8>?
  private var prepager: UnsafeMutablePointer<Prepager>?

  /// - Parameter slots: of the region.
  public init(slots: UInt64) { self.slots = Int(slots) }

  deinit {
    had?.deallocate()
    prepager?.deinitialize(count: 1)
    prepager?.deallocate()
  }

  /// Slots that have neither been pushed nor fetched.
  public var remaining: Int { prepager?.pointee.remaining ?? 0 }

  /// Takes in a part of the LRU order: see ``RegionStore/hint(_:place:extents:)``.
  public mutating func hint(place: Int, extents: UnsafeRawBufferPointer) {
    let count = extents.count / Wire.extentBytes
    while order.count < place + count { order.append(nil) }
    for index in 0..<count {
      let extent = Extent(extents, at: index)
      // What lies past the end the prepager leaves out.
      guard extent.slot < UInt64(slots) else { continue }
      order[place + index] = SlotRange(first: Int(extent.slot), count: Int(extent.count))
    }
  }

  /// Takes in which slots the client does not need: see ``RegionStore/have(_:from:bitmap:)``.
  public mutating func have(from first: UInt64, bitmap: UnsafeRawBufferPointer) {
    let bits = makeHad()
    for index in bitmap.indices where bitmap[index] != 0 {
      for bit in 0..<8 where bitmap[index] & 1 << UInt8(bit) != 0 {
        let slot = Int(first) + index * 8 + bit
        if slot < slots { bits[slot / 8] |= 1 << UInt8(slot % 8) }
      }
    }
  }

  private mutating func makeHad() -> UnsafeMutablePointer<UInt8> {
    if let had { return had }
    let bits = UnsafeMutablePointer<UInt8>.allocate(capacity: (slots + 7) / 8)
    bits.initialize(repeating: 0, count: (slots + 7) / 8)
    had = bits
    return bits
  }

  /// Readies everything for `next`.
  ///
  /// - Parameters:
  ///   - strategy: which page goes next.
  ///   - forEachStored: calls what it is given for every run of slots that hold a page.
  /// - Returns: pages that the client needs.
  public mutating func begin(
    _ strategy: Strategy, forEachStored: ((Range<Int>) -> Void) -> Void
  ) -> Int {
    let hints = order.compactMap { $0 }
    order = []
    let made = UnsafeMutablePointer<Prepager>.allocate(capacity: 1)
    made.initialize(to: Prepager(strategy, slots: slots, order: hints))
    prepager = made
    forEachStored { made.pointee.add(SlotRange(first: $0.lowerBound, count: $0.count)) }
    if let had {
      for slot in 0..<slots where had[slot / 8] & 1 << UInt8(slot % 8) != 0 {
        _ = made.pointee.remove(slot)
      }
      had.deallocate()
    }
    had = nil
    return made.pointee.remaining
  }

  /// A program waits for the slot, which is being sent to it.
  ///
  /// - Parameter wasPlanned: whether `next` has given it out, and nothing was sent. For the strategy the
  ///   program then waits for a page that is still to come, and a pivot belongs there.
  /// - Returns: what `next` is certain to give out soon, for that.
  public mutating func fault(
    _ slot: UInt64, context: UInt32, wasPlanned: Bool
  ) -> Announcement? {
    guard let prepager else {
      // Fetched before the post-copy began: that need not be pushed, either.
      makeHad()[Int(slot) / 8] |= 1 << UInt8(slot % 8)
      return nil
    }
    if wasPlanned { prepager.pointee.add(SlotRange(first: Int(slot), count: 1)) }
    _ = prepager.pointee.fault(Int(slot), context: context)
    return Self.announcement(prepager.pointee.promise)
  }

  private static func announcement(_ promise: Promise?) -> Announcement? {
    promise.map { Announcement(first: UInt64($0.first), count: $0.count) }
  }

  /// The client has written or discarded slots, and so has no need of what was there.
  public mutating func remove(_ slot: UInt64, count: Int) {
    prepager?.pointee.remove(SlotRange(first: Int(slot), count: count))
  }

  /// Takes the slot to push next, nil when there is none now; with it, what is certain to come out soon after.
  public mutating func next() -> (slot: UInt64, promise: Announcement?)? {
    guard let prepager, let slot = prepager.pointee.next() else { return nil }
    return (UInt64(slot), Self.announcement(prepager.pointee.promise))
  }
}
