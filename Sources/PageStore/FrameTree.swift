// SPDX-License-Identifier: Apache-2.0
import CRMAP
import Xen

/// Which machine frames hold the slots of a frozen guest, or the pages of a running one that cannot be paged out,
/// by PFN in place of slots: the tree that its module has published (`memx_frames.h`).
///
/// The guest wrote the tree and may change it at any time, so each table is copied before it is looked at, and
/// whatever contradicts the format is refused. No more tables are looked at than `slots` allows, and no more
/// entries taken than `used` says, wherever the entries point.
public struct FrameTree: Sendable {
  /// The domain whose frames these are.
  public let domain: Int
  /// Names the tree: another at each freeze.
  public let generation: UInt64
  /// The slots are `0..<slots`.
  public let slots: UInt64
  /// Slots that hold a page.
  public let used: Int
  /// The root's entries.
  private let directories: ArraySlice<UInt64>

  private static let entries = Int(MEMX_FRAMES_ENTRIES)
  /// Slots that a directory stands for.
  private static let directorySlots = entries * entries
  /// The most slots that a tree can describe.
  public static let maxSlots = UInt64(MEMX_FRAMES_ROOT_ENTRIES) * UInt64(directorySlots)

  /// Where a tree's root is, as the module writes it to XenStore.
  public struct Root: Sendable, Equatable {
    /// Its machine frame.
    public var frame: UInt64
    /// What it must say.
    public var generation: UInt64

    public init(frame: UInt64, generation: UInt64) {
      self.frame = frame
      self.generation = generation
    }

    /// Reads `MFN GENERATION`, both hexadecimal.
    ///
    /// - Throws: ``StoreError`` when it is anything else.
    public init(parsing text: String) throws(StoreError) {
      let words = text.split(separator: " ", omittingEmptySubsequences: false)
      guard words.count == 2, let frame = UInt64(words[0], radix: 16),
        let generation = UInt64(words[1], radix: 16)
      else {
        throw StoreError(
          "the guest says \(text.prefix(40).debugDescription) instead of frame and generation of its tree's"
            + " root")
      }
      self.init(frame: frame, generation: generation)
    }
  }

  /// Reads the root.
  ///
  /// - Parameters:
  ///   - root: where it is.
  ///   - domain: whose it is.
  ///   - limit: the most pages that the domain can have; a tree with more is refused.
  ///   - mapper: how frames are had.
  /// - Throws: ``StoreError`` when the frame cannot be mapped, or holds no such root.
  public init(
    _ root: Root, of domain: Int, limit: Int, mapper: some FrameMapper
  ) throws(StoreError) {
    self.domain = domain
    let generation = root.generation
    let words = try Self.tables([root.frame], of: domain, mapper)[0]
    func word(_ field: PartialKeyPath<memx_frames_root>) -> UInt64 {
      UInt64(littleEndian: words[MemoryLayout<memx_frames_root>.offset(of: field)! / 8])
    }
    // The version lies in the lower half of its word.
    let version = UInt32(truncatingIfNeeded: word(\.version))
    (self.generation, slots) = (word(\.generation), word(\.slots))
    let used = word(\.used)
    guard word(\.magic) == MEMX_FRAMES_MAGIC else {
      throw Self.damaged(domain, "frame \(hex(root.frame)) is not its root")
    }
    guard version == MEMX_FRAMES_VERSION else {
      throw Self.damaged(
        domain, "its version is \(version); version \(MEMX_FRAMES_VERSION) is understood here")
    }
    guard self.generation == generation, generation != 0 else {
      throw Self.damaged(
        domain, "its generation is \(hex(self.generation)), not \(hex(generation))")
    }
    guard slots > 0, slots <= Self.maxSlots else {
      throw Self.damaged(domain, "it has \(slots) slots; 1 to \(Self.maxSlots) are possible")
    }
    guard used <= slots, used <= UInt64(limit) else {
      throw Self.damaged(
        domain, "it says that \(used) of \(slots) slots hold pages of a domain with \(limit)")
    }
    self.used = Int(used)
    directories = words.suffix(Int(MEMX_FRAMES_ROOT_ENTRIES))
  }

  /// Calls `body` for each slot that holds a page, ascending, with the machine frame.
  ///
  /// - Throws: ``StoreError`` when a table cannot be mapped or contradicts the format, and what `body` throws.
  ///   `body` may have been called before.
  public func forEachFrame(
    mapper: some FrameMapper, _ body: (_ slot: Int, _ frame: UInt64) throws(StoreError) -> Void
  ) throws(StoreError) {
    var found = 0
    for directory in try frames(in: directories, first: 0, covering: Self.directorySlots) {
      let leaves = try Self.tables([directory.frame], of: domain, mapper)[0]
      let leafFrames = try frames(
        in: leaves[...], first: directory.slot, covering: Self.entries)
      guard !leafFrames.isEmpty else { continue }
      let tables = try Self.tables(leafFrames.map(\.frame), of: domain, mapper)
      for (leaf, entries) in zip(leafFrames, tables) {
        for (slot, frame) in try frames(in: entries[...], first: leaf.slot, covering: 1) {
          found += 1
          guard found <= used else {
            throw Self.damaged(domain, "more slots hold pages than the \(used) that it says")
          }
          try body(slot, frame)
        }
      }
    }
    guard found == used else {
      throw Self.damaged(domain, "\(found) slots hold pages, not the \(used) that it says")
    }
  }

  /// The entries of a table that are present.
  ///
  /// - Parameters:
  ///   - first: the table's first slot.
  ///   - step: slots that an entry stands for.
  private func frames(
    in table: ArraySlice<UInt64>, first: Int, covering step: Int
  ) throws(StoreError) -> [(slot: Int, frame: UInt64)] {
    var present: [(slot: Int, frame: UInt64)] = []
    var slot = first
    for raw in table {
      defer { slot += step }
      let entry = UInt64(littleEndian: raw)
      guard entry != 0 else { continue }
      let flags = entry & ((1 << MEMX_FRAMES_MFN_SHIFT) - 1)
      guard flags == MEMX_FRAMES_PRESENT else {
        throw Self.damaged(domain, "the entry \(hex(entry)) for slot \(slot) is none")
      }
      guard slot < slots else {
        throw Self.damaged(domain, "it has an entry for slot \(slot), behind its \(slots) slots")
      }
      present.append((slot, entry >> UInt64(MEMX_FRAMES_MFN_SHIFT)))
    }
    return present
  }

  /// Copies of tables, at most a directory's.
  private static func tables(
    _ frames: [UInt64], of domain: Int, _ mapper: some FrameMapper
  ) throws(StoreError) -> [[UInt64]] {
    let mapped: MappedFrames
    do { mapped = try mapper.map(frames, of: domain) } catch {
      throw StoreError("the frame tree of domain \(domain) cannot be read: \(error)")
    }
    return try frames.indices.map { index throws(StoreError) in
      guard mapped.errors[index] == 0 else {
        throw .system(
          "the frame tree of domain \(domain) cannot be read: frame \(hex(frames[index]))",
          mapped.errors[index])
      }
      let start = mapped.base + index * Int(MEMX_FRAMES_TABLE_BYTES)
      return withExtendedLifetime(mapped) {
        Array(
          UnsafeBufferPointer(start: start.assumingMemoryBound(to: UInt64.self), count: entries))
      }
    }
  }

  private static func damaged(_ domain: Int, _ what: String) -> StoreError {
    StoreError("the frame tree of domain \(domain) is not to be trusted: \(what)")
  }
}

private func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
