// SPDX-License-Identifier: Apache-2.0
import Glibc
import RMAP

/// Places arriving pages in the memory of one or many programs.
///
/// A page that a thread waits for goes in place at once, straight from where it arrived. Others are gathered
/// in lanes: a lane is 64 slots long and begins at a multiple of 64, so pages that arrive forward, backward
/// or around several pivots merge alike, and each run of neighbours takes one system call at `flush`.
///
/// Every call wakes who waits for its pages. `UFFDIO_COPY_MODE_DONTWAKE` would save no more than a
/// look at an empty queue for each run, and would have to be made good with a call of its own where a
/// thread has come to wait meanwhile and its event is not read yet.
///
/// A page that is there is never changed. Nothing is allocated after the start. One thread uses it.
public struct Placer: ~Copyable {
  public let areas: Areas
  public let userfaultfds: UserfaultfdTable
  public var states: SlotStates
  public internal(set) var counters = PlacerCounters()
  var touches: TouchLog?

  private struct Lane {
    /// The slots from `64 * word` on.
    var word: UInt64 = 0
    var copies: UInt64 = 0
    var zeros: UInt64 = 0
    var bytes: UnsafeMutableRawPointer
    var isEmpty: Bool { copies | zeros == 0 }
  }

  private static var slotsPerLane: Int { 64 }
  private let lanes: UnsafeMutablePointer<Lane>
  private let laneCount: Int
  /// Lanes in use, which come first.
  private var used = 0
  private let staging: UnsafeMutableRawPointer
  /// Whether the kernel copies from where no page begins, as it does from Linux 6.6 on.
  private var copiesUnaligned = true

  /// - Parameters:
  ///   - areas: of the region; slots outside them are marked as present in `states`, for nobody wants them.
  ///   - lanes: how many streams of pages at once are merged, 1 to 64; each takes 256 KiB.
  public init(
    areas: consuming Areas, userfaultfds: consuming UserfaultfdTable,
    states: consuming SlotStates, lanes: Int = 8
  ) {
    precondition((1...64).contains(lanes))
    var end: UInt64 = 0
    for index in 0..<areas.count {
      states.set(end..<areas[index].firstSlot, .present)
      end = areas[index].slots.upperBound
    }
    states.set(end..<states.slots, .present)
    self.areas = areas
    self.userfaultfds = userfaultfds
    self.states = states
    let laneBytes = Self.slotsPerLane * Wire.pageBytes
    staging = .allocate(byteCount: lanes * laneBytes, alignment: Wire.pageBytes)
    self.lanes = .allocate(capacity: lanes)
    laneCount = lanes
    for index in 0..<lanes {
      (self.lanes + index).initialize(to: Lane(bytes: staging + index * laneBytes))
    }
  }

  deinit {
    lanes.deallocate()
    staging.deallocate()
  }

  /// Do pages wait for `flush`?
  public var hasStaged: Bool { used > 0 }

  // MARK: Pages

  /// Takes a page that has arrived. The page is copied or in place when this returns true.
  ///
  /// - Parameters:
  ///   - page: 4,096 bytes, at any address; nil for a page of zeros.
  /// - Returns: false when there is no room because a program's mapping is changing: read its events
  ///   (``takeEvents(of:sink:)``), `flush`, and offer the page again.
  /// - Throws: when the slot is not of the region, or memory cannot be had (`ENOMEM`).
  public mutating func place(
    slot: UInt64, page: UnsafeRawPointer?
  ) throws(RemoteMemoryError) -> Bool {
    guard slot < states.slots else {
      throw RemoteMemoryError("slot \(slot) is past the region's \(states.slots)")
    }
    switch states[slot] {
    case .present, .lost:
      counters.alreadyThere += 1
      return true
    case .missing, .requested, .announced:
      break
    }
    if states.isAwaited(slot) {
      if let page, !copiesUnaligned, Int(bitPattern: page) % Wire.pageBytes != 0 {
        // Through a lane, where it is aligned.
      } else if try placeAlone(slot, page) {
        return true
      }
    }
    let isAwaited = states.isAwaited(slot)
    guard try stage(slot, page) else { return false }
    // It may be in a lane for want of alignment only; when the mapping is changing it stays there.
    if isAwaited { _ = try flush() }
    return true
  }

  /// Places what `place` has gathered; to be called at the end of a batch.
  ///
  /// - Returns: false when a part stays because a program's mapping is changing: read its events, then
  ///   call again.
  @discardableResult
  public mutating func flush() throws(RemoteMemoryError) -> Bool {
    var kept = 0
    for index in 0..<used {
      if try !flush(lane: index) {
        swap(kept, index)
        kept += 1
      }
    }
    used = kept
    return kept == 0
  }

  /// Marks a page that cannot be had as lost, and has accesses to it end in SIGBUS.
  ///
  /// - Returns: false when a program's mapping is changing: read its events, then try again.
  /// - Throws: when the kernel has no way to (before Linux 6.6, another process): end that process.
  public mutating func lose(slot: UInt64) throws(RemoteMemoryError) -> Bool {
    guard slot < states.slots else {
      throw RemoteMemoryError("slot \(slot) is past the region's \(states.slots)")
    }
    guard states[slot] != .present, let area = areas.area(of: slot) else { return true }
    let address = area.address(of: slot)
    let placement = userfaultfds[area.userfaultfd].poison(at: address, pages: 1)
    guard placement.obstacle == nil else {
      return try overcome(placement.obstacle!, area, slot)
    }
    states.set(slot, .lost)
    counters.poisoned += 1
    return true
  }

  // MARK: One page

  /// False when the page should be staged.
  private mutating func placeAlone(
    _ slot: UInt64, _ page: UnsafeRawPointer?
  ) throws(RemoteMemoryError) -> Bool {
    guard let area = areas.area(of: slot) else { preconditionFailure("a slot without an area") }
    let placement = transfer(area, slot, page, 1)
    switch placement.obstacle {
    case nil:
      states.set(slot, .present)
      counters.placedAtOnce += 1
      return true
    case .changing: return false
    case .failed(EINVAL) where page.map { Int(bitPattern: $0) % Wire.pageBytes != 0 } ?? false:
      copiesUnaligned = false
      return false
    case .some(let obstacle): return try overcome(obstacle, area, slot)
    }
  }

  private mutating func transfer(
    _ area: Area, _ slot: UInt64, _ page: UnsafeRawPointer?, _ pages: Int
  ) -> Userfaultfd.Placement {
    counters.calls += 1
    let address = area.address(of: slot)
    guard let page else {
      return userfaultfds[area.userfaultfd].zero(at: address, pages: pages)
    }
    return userfaultfds[area.userfaultfd].copy(to: address, from: page, pages: pages)
  }

  /// Settles a slot whose page met an obstacle.
  ///
  /// - Returns: false when it must be tried again.
  private mutating func overcome(
    _ obstacle: Userfaultfd.Obstacle, _ area: Area, _ slot: UInt64
  ) throws(RemoteMemoryError) -> Bool {
    switch obstacle {
    case .changing: return false
    case .alreadyThere:
      counters.alreadyThere += 1
      if states.isAwaited(slot) {
        userfaultfds[area.userfaultfd].wake(at: area.address(of: slot), pages: 1)
      }
      states.set(slot, .present)
    case .unmapped:
      counters.unwanted += 1
      states.set(slot, .present)
    case .ended:
      counters.unwanted += 1
      retire(userfaultfd: area.userfaultfd)
    case .failed(let code):
      throw .system("cannot place the page of slot \(slot)", code)
    }
    return true
  }

  /// Marks all slots of a program that has ended as present: nobody wants them any more.
  public mutating func retire(userfaultfd: Int) {
    for index in 0..<areas.count where areas[index].userfaultfd == userfaultfd {
      states.set(areas[index].slots, .present)
    }
  }

  // MARK: Lanes

  private mutating func stage(
    _ slot: UInt64, _ page: UnsafeRawPointer?
  ) throws(RemoteMemoryError) -> Bool {
    let word = slot / 64
    let bit: UInt64 = 1 << (slot % 64)
    guard let lane = try lane(of: word) else { return false }
    guard (lane.pointee.copies | lane.pointee.zeros) & bit == 0 else {
      counters.alreadyThere += 1
      return true
    }
    if let page {
      memcpy(lane.pointee.bytes + Int(slot % 64) * Wire.pageBytes, page, Wire.pageBytes)
      lane.pointee.copies |= bit
    } else {
      lane.pointee.zeros |= bit
    }
    return true
  }

  /// The lane of a word, if need be one made free; nil when none can be.
  private mutating func lane(
    of word: UInt64
  ) throws(RemoteMemoryError) -> UnsafeMutablePointer<Lane>? {
    // The last one first: a stream stays in its lane.
    for index in stride(from: used - 1, through: 0, by: -1) where lanes[index].word == word {
      return lanes + index
    }
    if used == laneCount { _ = try flush() }
    guard used < laneCount else { return nil }
    lanes[used].word = word
    used += 1
    return lanes + (used - 1)
  }

  private func swap(_ first: Int, _ second: Int) {
    guard first != second else { return }
    let former = lanes[first]
    lanes[first] = lanes[second]
    lanes[second] = former
  }

  /// False when pages stay in the lane.
  private mutating func flush(lane index: Int) throws(RemoteMemoryError) -> Bool {
    let lane = lanes + index
    while true {
      // What was settled since it came (unmapped, removed, placed at once) goes.
      let settled =
        states.mask(word: lane.pointee.word, .present) | states.mask(word: lane.pointee.word, .lost)
      counters.unwanted += UInt64((lane.pointee.copies & settled).nonzeroBitCount)
      counters.unwanted += UInt64((lane.pointee.zeros & settled).nonzeroBitCount)
      lane.pointee.copies &= ~settled
      lane.pointee.zeros &= ~settled
      if lane.pointee.isEmpty { return true }
      let isZeros = lane.pointee.copies == 0
      if try !flushRun(lane, isZeros: isZeros) { return false }
    }
  }

  /// Places the first run of a lane. False when the mapping is changing.
  private mutating func flushRun(
    _ lane: UnsafeMutablePointer<Lane>, isZeros: Bool
  ) throws(RemoteMemoryError) -> Bool {
    let mask = isZeros ? lane.pointee.zeros : lane.pointee.copies
    let first = mask.trailingZeroBitCount
    let slot = lane.pointee.word * 64 + UInt64(first)
    guard let area = areas.area(of: slot) else { preconditionFailure("a slot without an area") }
    let run = min(
      (~(mask >> first)).trailingZeroBitCount, Int(min(64, area.slots.upperBound - slot)))
    let bytes = isZeros ? nil : UnsafeRawPointer(lane.pointee.bytes + first * Wire.pageBytes)
    var placement = transfer(area, slot, bytes, run)
    if placement.obstacle == .unmapped && placement.placed == 0 && run > 1 {
      // A call must stay inside one of the program's mappings, and it may have cut this one in two.
      placement = transfer(area, slot, bytes, 1)
    }
    let placed = placement.placed
    if placed > 0 {
      let done: UInt64 = placed == 64 ? ~0 : ((1 << placed) - 1) << first
      states.set(word: lane.pointee.word, mask: done, .present)
      lane.pointee.copies &= ~done
      lane.pointee.zeros &= ~done
      counters.placedInBatches += UInt64(placed)
    }
    guard let obstacle = placement.obstacle else { return true }
    let failed = slot + UInt64(placed)
    guard try overcome(obstacle, area, failed) else { return false }
    let bit: UInt64 = 1 << (failed % 64)
    lane.pointee.copies &= ~bit
    lane.pointee.zeros &= ~bit
    return true
  }
}
