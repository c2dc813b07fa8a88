// SPDX-License-Identifier: Apache-2.0
import RMAP

/// Which page frame each slot of a region has, in memory or in the region's file.
struct SlotMap: ~Copyable {
  /// The slot was never written, or was discarded.
  static let empty: UInt32 = 0
  /// Cleared since an earlier incarnation's data went: reads as zeros although the region has losses.
  static let knownZero: UInt32 = .max

  /// Entry `slot`: `empty`, `knownZero`, or a frame's number plus 1.
  let entries: UnsafeMutablePointer<UInt32>
  let slots: UInt64
  private let mapping: Mapping
  private let header: UnsafeMutablePointer<ArenaFiles.SlotsHeader>

  /// - Parameters:
  ///   - name: of the region; its file, if the arena has files, is called after it.
  ///   - slots: the region's size. A file of another size is refused.
  init(_ name: RegionName, slots: UInt64, files: ArenaFiles?) throws {
    // Before the file is mapped: that would cut a longer one short.
    if let files, let former = files.formerSlots(name), former != slots {
      throw StoreError(
        "region \(name) has \(former) slots in the arena's files, not \(slots); give it its former"
          + " size of \(former * UInt64(Wire.pageBytes)) bytes, or remove"
          + " \(files.directory)/\(ArenaFiles.slotsName(name)) and the pages in it")
    }
    let mapping = try Self.map(name, byteCount: Wire.pageBytes + Int(slots) * 4, files: files)
    let header = mapping.base.bindMemory(to: ArenaFiles.SlotsHeader.self, capacity: 1)
    let arenaID = files?.arenaID ?? 0
    if header.pointee.magic != ArenaFiles.magic || header.pointee.arenaID != arenaID {
      mapping.clear(offset: 0, count: mapping.byteCount)
      header.pointee = ArenaFiles.SlotsHeader(
        magic: 0, arenaID: arenaID, incarnation: .random(in: 1 ... .max), slots: slots)
      // Last: a header that is only half written counts as none.
      header.pointee.magic = ArenaFiles.magic
    }
    self.slots = slots
    self.header = header
    entries = (mapping.base + Wire.pageBytes).bindMemory(to: UInt32.self, capacity: Int(slots))
    self.mapping = mapping
  }

  private static func map(
    _ name: RegionName, byteCount: Int, files: ArenaFiles?
  ) throws -> Mapping {
    guard let files else { return try Mapping(anonymous: byteCount) }
    return try files.map(
      ArenaFiles.slotsName(name), byteCount: byteCount, options: MemoryOptions(hugePages: false))
  }

  var incarnation: UInt64 { header.pointee.incarnation }

  var lost: Bool {
    get { header.pointee.lost != 0 }
    nonmutating set { header.pointee.lost = newValue ? 1 : 0 }
  }

  func synchronize() { mapping.synchronize() }
}
