// SPDX-License-Identifier: Apache-2.0

/// Which way bubbles grow.
enum Direction: Hashable, Sendable {
  case forward, backward, dual
}

/// Bubbling with a single pivot (the paper, section 3.2 (A) and Figure 2).
///
/// Figure 2 counts a radius up and looks left, then right, at every distance. All nearer to the
/// pivot has been sent by then, so the next page is the pending one nearest to the pivot, the left
/// one of two: no radius is kept, and what was sent is skipped at once. Two things differ from the
/// figure's letter. Its loop ends a step early and would leave the first page out when the pivot
/// lies in the upper half; here the bubble grows until all is sent. And a fault takes effect at the
/// next page, where the figure's threads may first finish a round.
///
/// In one direction alone, an edge that reaches the end goes on from the other end, for else the
/// push would stall.
struct Bubble {
  let direction: Direction
  private var pivot = 0

  init(_ direction: Direction) { self.direction = direction }

  mutating func fault(_ position: Int) { pivot = position }

  func next(_ pending: inout PendingSet) -> Int? {
    switch direction {
    case .forward: return pending.next(from: pivot) ?? pending.next(from: 0)
    case .backward: return pending.previous(from: pivot) ?? pending.previous(from: pending.count)
    case .dual:
      guard let left = pending.previous(from: pivot) else { return pending.next(from: pivot) }
      guard let right = pending.next(from: pivot) else { return left }
      return pivot - left <= right - pivot ? left : right
    }
  }
}
