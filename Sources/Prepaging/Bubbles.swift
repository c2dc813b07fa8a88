// SPDX-License-Identifier: Apache-2.0

/// Bubbling with several pivots (the paper, section 3.2 (B) and (C)).
///
/// Bubbles around the `k` last faults grow in turn, a page each, an edge stopping where it meets a
/// page that is not pending; a new fault's bubble replaces the oldest. One more pivot is sticky: it
/// is never replaced and its edge skips, so the push cannot stall. It stands at the first page and
/// grows forward, or, for backward bubbles, at the last and grows backward, the only end where it
/// cannot stall.
///
/// The paper has no sticky pivot in two directions, since there the push would not stall. That
/// holds while no pivot is replaced. But say a fault at page 500 is followed by `k` others around
/// 900: all bubbles then stop at 500 on their left, and what lies below 500 is never sent. Pages
/// that are discarded stop edges in the same way. So the sticky pivot is there for all; but in two
/// directions it has its turn only when no other bubble grows: half of the pushes would else go where
/// nobody has been, and a program that reads on from the last fault would outrun the other half.
struct Bubbles: ~Copyable {
  private struct Edges {
    /// Where each edge looks next; an edge that has stopped is out of bounds.
    var left = -1
    var right = Int.max
    var turnsLeft = true
  }

  /// How many pivots there may be, apart from the sticky one.
  static let pivotLimit = 64

  private let direction: Direction
  private let pivots: Int
  private let bubbles: UnsafeMutablePointer<Edges>
  /// The bubble that the next fault replaces.
  private var oldest = 0
  /// Bubbles with an edge that grows, one bit each.
  private var growing: UInt64 = 0
  /// The bubble whose turn it is; the sticky one's comes after all others'.
  private var turn = 0

  init(_ direction: Direction, pivots: Int) {
    self.direction = direction
    self.pivots = pivots
    bubbles = .allocate(capacity: pivots)
    bubbles.initialize(repeating: Edges(), count: pivots)
  }

  deinit { bubbles.deallocate() }

  mutating func fault(_ position: Int) {
    bubbles[oldest] = Edges(
      left: direction == .forward ? -1 : position - 1,
      right: direction == .backward ? .max : position + 1)
    growing |= 1 << UInt64(oldest)
    oldest = (oldest + 1) % pivots
  }

  mutating func next(_ pending: inout PendingSet) -> Int? {
    if let position = nextOfPivots(pending) { return position }
    if direction == .dual, let position = nextOfPivots(pending) { return position }
    return direction == .backward ? pending.previous(from: pending.count) : pending.next(from: 0)
  }

  /// The page of the pivot whose turn it is; nil when it is the sticky one's turn.
  mutating func nextOfPivots(_ pending: borrowing PendingSet) -> Int? {
    while turn < pivots {
      let ahead = growing & (~0 << UInt64(turn))
      if ahead == 0 { break }
      let bubble = ahead.trailingZeroBitCount
      turn = bubble + 1
      if let position = grow(bubble, pending) { return position }
      growing &= ~(1 << UInt64(bubble))
    }
    turn = 0
    return nil
  }

  /// The page that a bubble takes next; nil when both its edges have stopped.
  private func grow(_ index: Int, _ pending: borrowing PendingSet) -> Int? {
    for _ in 0..<2 {
      let goesLeft = bubbles[index].turnsLeft
      bubbles[index].turnsLeft.toggle()
      let position = goesLeft ? bubbles[index].left : bubbles[index].right
      if pending.contains(position) {
        if goesLeft { bubbles[index].left -= 1 } else { bubbles[index].right += 1 }
        return position
      }
      if goesLeft { bubbles[index].left = -1 } else { bubbles[index].right = .max }
    }
    return nil
  }
}
