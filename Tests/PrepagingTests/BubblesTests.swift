// SPDX-License-Identifier: Apache-2.0
import Prepaging
import Testing

/// Worked examples of bubbling with several pivots, and in one direction.
@Suite struct BubblesTests {
  @Test func oneDirectionGoesOnFromTheOtherEnd() {
    let forward = Pusher("bubble-forward", slots: 8)
    #expect(forward.fault(5))
    #expect(forward.next(9) == [6, 7, 0, 1, 2, 3, 4])
    let backward = Pusher("bubble-backward", slots: 8)
    #expect(backward.fault(2))
    #expect(backward.next(9) == [1, 0, 7, 6, 5, 4, 3])
  }

  @Test func bubblesGrowInTurnAndStopWhereTheyMeet() {
    let dual = Pusher("bubble-dual-multi", slots: 20)
    #expect(dual.fault(8))
    #expect(dual.fault(12))
    // The bubbles at 8 and 12, a page each, left and right in turn; 10 goes to the second.
    #expect(dual.next(9) == [7, 11, 9, 13, 6, 10, 5, 14, 4])
    // They have met: one grows down, one up, and the sticky one has nothing to do.
    #expect(dual.next(20) == [15, 3, 16, 2, 17, 1, 18, 0, 19])
  }

  @Test func theStickyPivotSkipsWhatOthersSent() {
    let forward = Pusher("bubble-forward-multi", slots: 10)
    #expect(forward.fault(1))
    #expect(forward.next(4) == [2, 0, 3, 4])
    #expect(forward.next(10) == [5, 6, 7, 8, 9])
    let backward = Pusher("bubble-backward-multi", slots: 10)
    #expect(backward.fault(8))
    #expect(backward.next(10) == [7, 9, 6, 5, 4, 3, 2, 1, 0])
  }

  /// Where the paper's thought exercise does not hold: the pivots of a later burst have replaced
  /// the one whose edge looked at the pages below 500.
  @Test func replacedPivotsStallNothing() {
    let dual = Pusher("bubble-dual-multi", slots: 1000)
    #expect(dual.fault(500))
    for slot in 900..<907 { #expect(dual.fault(slot)) }
    let rest = dual.next(1000)
    #expect(rest.count == 992)
    #expect(Set(rest).count == 992)
  }

  @Test func theOldestPivotIsReplaced() {
    let dual = Pusher("bubble-dual-multi:1", slots: 100)
    #expect(dual.fault(20))
    #expect(dual.fault(60))
    #expect(dual.next(6) == [59, 61, 58, 62, 57, 63])
  }

  @Test func pushGoesUpAndDemandOnlyNowhere() {
    let push = Pusher("push", slots: 5)
    #expect(push.fault(3))
    #expect(push.next(9) == [0, 1, 2, 4])
    let demandOnly = Pusher("demand-only", slots: 5)
    #expect(demandOnly.next(1) == [])
    #expect(demandOnly.remaining == 5)
    #expect(demandOnly.fault(3))
    #expect(demandOnly.remaining == 4)
  }

  @Test func anOrderIsWalkedByPosition() {
    let order = [
      SlotRange(first: 6, count: 2), SlotRange(first: 1, count: 2), SlotRange(first: 7, count: 5),
      SlotRange(first: 1 << 40, count: 3), SlotRange(first: -1, count: 3),
    ]
    let push = Pusher("push+lru", slots: 10, order: order)
    // 7 again, 10 and 11; three past the end; -1 and 1 again.
    #expect(push.ignoredHints == 3 + 3 + 2)
    #expect(push.next(20) == [6, 7, 1, 2, 8, 9, 0, 3, 4, 5])
    let dual = Pusher("bubble-dual+lru", slots: 10, order: order)
    #expect(dual.fault(8))
    #expect(dual.next(20) == [2, 9, 1, 0, 7, 3, 6, 4, 5])
  }
}
