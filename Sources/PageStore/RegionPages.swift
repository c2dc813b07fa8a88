// SPDX-License-Identifier: Apache-2.0
import RMAP

/// The pages of one region: its slot map, and the arena's chunks that it has.
///
/// Used by one engine at a time. A page replaced or discarded stays in place until `reclaim`, because
/// a reply under way may still point to it.
///
/// The slots of a *linear* region lie one behind the other in memory from the start, so that they can be reached without the
/// slot map, by RDMA. A page written to it is copied once more, and what a slot holds may change under a reply.
public struct RegionPages: ~Copyable {
  /// The most slots that may hold a page.
  public let quota: Int
  /// Slots that hold a page.
  public private(set) var stored = 0

  private let arena: Arena
  // Of the arena, here so that the page path counts no references.
  private let frames: UnsafeMutableRawPointer
  private let hashes: UnsafeMutablePointer<PageHashes>
  private let chunks: UnsafeMutablePointer<Arena.ChunkState>
  private let map: SlotMap
  /// Chunks that the region may have: its quota, and room for the writes under way and the pages
  /// that wait to be reclaimed.
  private let chunkLimit: Int
  private var chunkCount = 0
  private var emptyChunks = 0
  /// First of the chunks that have a free frame, -1 for none.
  private var partial: Int32 = -1
  private let retired: UnsafeMutablePointer<UInt32>
  private var retiredCount = 0

  /// A page that is being gathered. `addsPage`: when committed it makes `stored` grow.
  private struct Staged {
    var slot: UInt64
    var frame: UInt32
    var addsPage: Bool
  }

  /// The pages that are being gathered; seldom more than a few, so looking through them is cheap.
  private let staged: UnsafeMutablePointer<Staged>
  private var stagedCount = 0
  /// Of a linear region, where its slots lie.
  private let linear: UnsafeMutableRawPointer?
  /// How many of them make `stored` grow: their room is taken already.
  private var adding = 0

  /// The most pages that may be gathered at a time: a session's requests.
  private static let maxStaged = Wire.maxQueueDepth

  /// Empty chunks that a region keeps, so that a page freed and written again does not clear one.
  private static let spareChunks = 1

  /// - Parameters:
  ///   - name: of the region.
  ///   - slots: its size.
  ///   - quota: the most slots that may hold a page.
  ///   - arena: where its pages live.
  ///   - isLinear: whether all slots are to lie one behind the other; the quota must be that of all slots.
  public init(
    _ name: RegionName, slots: UInt64, quota: Int, arena: Arena, isLinear: Bool = false
  ) throws {
    let map = try SlotMap(name, slots: slots, files: arena.files)
    let first = isLinear ? try Self.layOut(map, name, arena) : nil
    let former = Self.formerPages(map, mayHave: isLinear || arena.files != nil)
    self.arena = arena
    frames = arena.frames
    hashes = arena.hashes
    chunks = arena.chunks
    self.quota = quota
    self.map = map
    chunkLimit = (quota + Arena.chunkFrames - 1) / Arena.chunkFrames + 2
    staged = .allocate(capacity: Self.maxStaged)
    linear = first.map { arena.frames + $0 * Wire.pageBytes }
    stored = former.count
    chunkCount = former.chunks.count
    // A quota lowered since an earlier life leaves more chunks than the limit.
    retired = .allocate(capacity: max(chunkLimit, chunkCount) * Arena.chunkFrames)
    for chunk in former.chunks where chunks[chunk].used < Arena.chunkFrames { link(chunk) }
  }

  /// The pages that the slot map names from an earlier life, and the chunks that they are in.
  private static func formerPages(
    _ map: borrowing SlotMap, mayHave: Bool
  ) -> (count: Int, chunks: Set<Int>) {
    var (count, chunks) = (0, Set<Int>())
    guard mayHave else { return (count, chunks) }
    for slot in 0..<Int(map.slots) {
      let entry = map.entries[slot]
      guard entry != SlotMap.empty, entry != SlotMap.knownZero else { continue }
      count += 1
      chunks.insert((Int(entry) - 1) / Arena.chunkFrames)
    }
    return (count, chunks)
  }

  deinit {
    staged.deallocate()
    retired.deallocate()
  }

  /// Gives every slot of a linear region its frame, unless an earlier life has.
  ///
  /// - Returns: that of slot 0.
  private static func layOut(
    _ map: borrowing SlotMap, _ name: RegionName, _ arena: Arena
  ) throws -> Int {
    let slots = Int(map.slots)
    if map.entries[0] == SlotMap.empty {
      let count = (slots + Arena.chunkFrames - 1) / Arena.chunkFrames
      guard let chunk = arena.takeChunks(count) else {
        throw StoreError(
          "region \(name): the memory has no \(slots * Wire.pageBytes) bytes in one piece for it, as"
            + " layout=linear needs; raise --memory")
      }
      let first = chunk * Arena.chunkFrames
      for frame in first..<first + slots { arena.chunks.markUsed(frame) }
      // Slot 0 last: when it has a frame all have.
      for slot in (0..<slots).reversed() { map.entries[slot] = UInt32(first + slot + 1) }
    }
    let first = Int(map.entries[0]) - 1
    guard (0..<slots).allSatisfy({ Int(map.entries[$0]) == first + $0 + 1 }) else {
      throw StoreError(
        "region \(name): was not linear when the arena's files were made; leave layout=linear away, or"
          + " remove \(ArenaFiles.slotsName(name)) there and the pages in it")
    }
    return first
  }

  /// The memory that the slots of a linear region lie in; nil of any other.
  public var linearMemory: UnsafeMutableRawBufferPointer? {
    linear.map { .init(start: $0, count: Int(map.slots) * Wire.pageBytes) }
  }

  public var slots: UInt64 { map.slots }
  public var incarnation: UInt64 { map.incarnation }

  /// Bytes of the arena that the region has, used or not.
  public var reservedBytes: Int { chunkCount * Arena.chunkBytes }

  /// Settles what unwritten slots are for a client whose data is in `incarnation`, 0 for none.
  ///
  /// - Returns: true when that data is gone; a refusal when the region holds pages of another
  ///   client's by now, which this one would take for its own.
  public mutating func settle(incarnation: UInt64) -> Result<Bool, Refusal> {
    if incarnation == 0 {
      if stored == 0 { map.lost = false }
      return .success(false)
    }
    guard incarnation != map.incarnation else { return .success(false) }
    guard stored == 0 else { return .failure(Refusal(.lost)) }
    map.lost = true
    return .success(true)
  }

  /// What a slot holds. A page stays in place until the next `reclaim`.
  public func load(_ slot: UInt64) -> StoredPage {
    let entry = map.entries[Int(slot)]
    if entry == SlotMap.empty { return map.lost ? .lost : .zeros }
    if entry == SlotMap.knownZero { return .zeros }
    let frame = Int(entry) - 1
    return .page(
      UnsafeRawPointer(frames + frame * Wire.pageBytes), hashes[frame])
  }

  /// Calls `body` for each run of slots next to one another that hold pages, ascending.
  public func forEachStoredRun(_ body: (Range<Int>) -> Void) {
    var first: Int?
    for slot in 0..<Int(map.slots) {
      let entry = map.entries[slot]
      if entry != SlotMap.empty, entry != SlotMap.knownZero {
        if first == nil { first = slot }
      } else if let begin = first {
        body(begin..<slot)
        first = nil
      }
    }
    if let first { body(first..<Int(map.slots)) }
  }

  /// A free frame to gather a page in, or nil when the quota or the arena is used up.
  ///
  /// - Parameter slot: where the page is going to be committed.
  public mutating func stage(_ slot: UInt64) -> StagedPage? {
    let entry = map.entries[Int(slot)]
    let isNew = entry == SlotMap.empty || entry == SlotMap.knownZero
    guard stagedCount < Self.maxStaged, !isNew || stored + adding < quota,
      let frame = takeFrame()
    else { return nil }
    staged[stagedCount] = Staged(slot: slot, frame: UInt32(frame), addsPage: isNew)
    stagedCount += 1
    if isNew { adding += 1 }
    return StagedPage(bytes: frames + frame * Wire.pageBytes, frame: UInt32(frame))
  }

  /// Makes a staged page the slot's.
  public mutating func commit(_ slot: UInt64, page: StagedPage, hashes: PageHashes) {
    if let linear {
      (linear + Int(slot) * Wire.pageBytes).copyMemory(
        from: page.bytes, byteCount: Wire.pageBytes)
      return abandon(page)
    }
    self.hashes[Int(page.frame)] = hashes
    unstage(page)
    retire(slot, replacement: page.frame + 1)
    stored += 1
  }

  /// Takes back a staged page.
  public mutating func abandon(_ page: StagedPage) {
    unstage(page)
    giveFrame(Int(page.frame))
  }

  /// Makes `count` slots from `slot` on read as zeros.
  public mutating func clear(_ slot: UInt64, count: Int) {
    if let linear {
      (linear + Int(slot) * Wire.pageBytes).initializeMemory(
        as: UInt8.self, repeating: 0, count: count * Wire.pageBytes)
      return
    }
    let cleared = map.lost ? SlotMap.knownZero : SlotMap.empty
    let range = slot..<slot + UInt64(count)
    // A page that was to replace another now is one more.
    for index in 0..<stagedCount where !staged[index].addsPage && range.contains(staged[index].slot)
    {
      staged[index].addsPage = true
      adding += 1
    }
    for slot in range { retire(slot, replacement: cleared) }
  }

  private mutating func unstage(_ page: StagedPage) {
    // Last in, first out, as a rule.
    var index = stagedCount - 1
    while staged[index].frame != page.frame { index -= 1 }
    if staged[index].addsPage { adding -= 1 }
    stagedCount -= 1
    staged[index] = staged[stagedCount]
  }

  /// Changes a slot's entry, and sets the frame it had aside for `reclaim`.
  private mutating func retire(_ slot: UInt64, replacement: UInt32) {
    let entry = map.entries[Int(slot)]
    guard entry != replacement else { return }
    map.entries[Int(slot)] = replacement
    guard entry != SlotMap.empty, entry != SlotMap.knownZero else { return }
    retired[retiredCount] = entry - 1
    retiredCount += 1
    stored -= 1
  }

  /// Frees the pages that were replaced or discarded; call it when no reply points to them any more.
  public mutating func reclaim() {
    while retiredCount > 0 {
      retiredCount -= 1
      giveFrame(Int(retired[retiredCount]))
    }
  }

  /// Writes the slot map back, as before a clean end.
  public func synchronize() { map.synchronize() }

  // MARK: Frames

  private mutating func takeFrame() -> Int? {
    if partial < 0 {
      guard chunkCount < chunkLimit, let chunk = arena.takeChunk() else { return nil }
      chunkCount += 1
      emptyChunks += 1
      link(chunk)
    }
    let chunk = Int(partial)
    let index = chunks.withWords(chunk) { words in
      var word = 0
      while words[word] == .max { word += 1 }
      let bit = (~words[word]).trailingZeroBitCount
      words[word] |= 1 << UInt64(bit)
      return word * 64 + bit
    }
    if chunks[chunk].used == 0 { emptyChunks -= 1 }
    chunks[chunk].used += 1
    if chunks[chunk].used == Int32(Arena.chunkFrames) { unlink(chunk) }
    return chunk * Arena.chunkFrames + index
  }

  private mutating func giveFrame(_ frame: Int) {
    let chunk = frame / Arena.chunkFrames
    let index = frame % Arena.chunkFrames
    chunks.withWords(chunk) { $0[index / 64] &= ~(1 << UInt64(index % 64)) }
    if chunks[chunk].used == Int32(Arena.chunkFrames) { link(chunk) }
    chunks[chunk].used -= 1
    guard chunks[chunk].used == 0 else { return }
    guard emptyChunks >= Self.spareChunks else {
      emptyChunks += 1
      return
    }
    unlink(chunk)
    arena.giveChunk(chunk)
    chunkCount -= 1
  }

  private mutating func link(_ chunk: Int) {
    chunks[chunk].previous = -1
    chunks[chunk].next = partial
    if partial >= 0 { chunks[Int(partial)].previous = Int32(chunk) }
    partial = Int32(chunk)
  }

  private mutating func unlink(_ chunk: Int) {
    let (previous, next) = (chunks[chunk].previous, chunks[chunk].next)
    if previous >= 0 { chunks[Int(previous)].next = next } else { partial = next }
    if next >= 0 { chunks[Int(next)].previous = previous }
  }
}
