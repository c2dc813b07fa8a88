// SPDX-License-Identifier: Apache-2.0

/// Prepaging that has each thread find what it touched before.
///
/// Made for an order that an earlier move has recorded: what each of the client's threads touched, in its order, one
/// thread behind the other. Each thread that waits has a pivot in the order, at its last wait, and pages are pushed
/// from there on, of one thread after the other. A pivot that comes to pages which were sent goes past them; one that
/// has come to the end of its thread's pages goes on in the next one's.
///
/// The paper's bubbles with several pivots (section 3.2 (B)) do so for as many threads as they have pivots; but there
/// the pivot of a new wait replaces the oldest, whose thread then waits again.
///
/// What comes next to a thread is promised, so that it waits for it without asking. These pages are seldom neighbours,
/// since a program goes through several places of its memory in turn; a promise is of such as are, upwards or
/// downwards, and the next push promises others.
struct Replay: ~Copyable {
  /// Threads that are followed at a time; a new one replaces the one that waited longest ago.
  static let limit = 1024
  /// How far ahead of a thread pages are promised.
  private static let window = UInt64.bitWidth - 1

  private struct Pivot {
    var context: UInt32 = 0
    /// The count of waits at its last.
    var stamp = 0
    /// The position that is looked at next.
    var ahead = 0
    /// Bit i: what stands at `ahead` + i has been promised, or needs no promise.
    var told: UInt64 = 0
  }

  private let capacity: Int
  private let pivots: UnsafeMutablePointer<Pivot>
  private var count = 0
  private var waits = 0
  /// Pivots that something may be pending from, in the order of their turns.
  private var turns: IndexQueue
  /// Pivots of threads that waited, and have not been told of all that comes next.
  private var toBeTold: IndexQueue
  /// What the last `next` promises; nil when nothing new.
  private(set) var promise: Promise?

  /// - Parameter threads: followed at a time; 0 where another strategy is in use.
  init(threads capacity: Int) {
    self.capacity = capacity
    pivots = .allocate(capacity: max(1, capacity))
    turns = IndexQueue(capacity: capacity)
    toBeTold = IndexQueue(capacity: capacity)
  }

  deinit { pivots.deallocate() }

  /// Notes that a thread waits for a page that was still to be sent.
  ///
  /// - Returns: what of the pages after it is promised.
  mutating func fault(
    _ position: Int, context: UInt32, _ pending: borrowing PendingSet, _ order: inout SlotOrder
  ) -> Promise? {
    waits += 1
    let index = place(of: context)
    pivots[index].stamp = waits
    goOn(index, to: position + 1)
    turns.append(index)
    toBeTold.append(index)
    return tell(index, pending, &order)
  }

  /// The pivot of a thread; a new one for a new thread.
  private mutating func place(of context: UInt32) -> Int {
    if let index = (0..<count).first(where: { pivots[$0].context == context }) { return index }
    if count < capacity {
      (pivots + count).initialize(to: Pivot(context: context))
      count += 1
      return count - 1
    }
    let index = (0..<count).min { pivots[$0].stamp < pivots[$1].stamp }!
    pivots[index].context = context
    return index
  }

  private mutating func goOn(_ index: Int, to position: Int) {
    let distance = position - pivots[index].ahead
    pivots[index].ahead = position
    pivots[index].told =
      (0...Self.window).contains(distance) ? pivots[index].told >> UInt64(distance) : 0
  }

  /// The position to be sent next; nil when none is pending.
  mutating func next(_ pending: inout PendingSet, _ order: inout SlotOrder) -> Int? {
    promise = nil
    while let index = turns.first {
      turns.removeFirst()
      guard let position = pending.next(from: pivots[index].ahead) else { continue }
      turns.append(index)
      goOn(index, to: position + 1)
      promise = tellNext(pending, &order) ?? tell(index, pending, &order)
      return position
    }
    return pending.next(from: 0)
  }

  /// Promises what the thread that has waited for it longest has not been told.
  private mutating func tellNext(
    _ pending: borrowing PendingSet, _ order: inout SlotOrder
  ) -> Promise? {
    while let index = toBeTold.first {
      if let promise = tell(index, pending, &order) { return promise }
      toBeTold.removeFirst()
    }
    return nil
  }

  /// Promises what a thread needs first of what it has not been told, and what follows that upwards or downwards; nil
  /// when it has been told all.
  private mutating func tell(
    _ index: Int, _ pending: borrowing PendingSet, _ order: inout SlotOrder
  ) -> Promise? {
    let ahead = pivots[index].ahead
    let end = min(Self.window, pending.count - ahead)
    guard end > 0 else { return nil }
    var open = ~pivots[index].told & (1 << UInt64(end) - 1)
    var first: Int?
    var (last, step, length) = (0, 0, 0)
    while open != 0 {
      let distance = open.trailingZeroBitCount
      let bit: UInt64 = 1 << UInt64(distance)
      open &= ~bit
      guard pending.contains(ahead + distance) else {
        pivots[index].told |= bit
        continue
      }
      let slot = order.slot(at: ahead + distance)
      if first == nil {
        first = slot
      } else {
        guard step == 0 ? abs(slot - last) == 1 : slot == last + step else { continue }
        step = slot - last
      }
      pivots[index].told |= bit
      (last, length) = (slot, length + 1)
    }
    return first.map { Promise(first: $0, count: step < 0 ? -length : length) }
  }
}

/// Indices first in, first out, each at most once. Allocates nothing after `init`.
private struct IndexQueue: ~Copyable {
  private let indices: UnsafeMutablePointer<Int>
  private let isIn: UnsafeMutablePointer<Bool>
  private let capacity: Int
  private var head = 0
  private var count = 0

  /// - Parameter capacity: indices are below this.
  init(capacity: Int) {
    self.capacity = capacity
    indices = .allocate(capacity: max(1, capacity))
    isIn = .allocate(capacity: max(1, capacity))
    isIn.initialize(repeating: false, count: max(1, capacity))
  }

  deinit {
    indices.deallocate()
    isIn.deallocate()
  }

  var first: Int? { count > 0 ? indices[head] : nil }

  /// Puts an index last, unless it waits already.
  mutating func append(_ index: Int) {
    guard !isIn[index] else { return }
    isIn[index] = true
    (indices + (head + count) % capacity).initialize(to: index)
    count += 1
  }

  /// Takes the first out; there must be one.
  mutating func removeFirst() {
    isIn[indices[head]] = false
    head = (head + 1) % capacity
    count -= 1
  }
}
