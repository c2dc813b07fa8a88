// SPDX-License-Identifier: Apache-2.0
import Prepaging
import Testing

/// What `replay` pushes and promises, from an order that an earlier move has recorded.
@Suite struct ReplayTests {
  private static func order(_ slots: [Int]) -> [SlotRange] {
    slots.map { SlotRange(first: $0, count: 1) }
  }

  @Test func eachThreadIsFollowedFromWhereItWaited() {
    let first = [7, 3, 9, 1, 5]
    let second = [16, 12, 18, 10, 14]
    let push = Pusher("replay+lru", slots: 20, order: Self.order(first + second))
    let wasPending = push.fault(7, context: 1)
    #expect(wasPending)
    #expect(push.next(2) == [3, 9])
    _ = push.fault(12, context: 2)
    // One of each in turn. The first has come to its end, and goes on with what the other has gone past.
    #expect(push.next(6) == [1, 18, 5, 10, 16, 14])
    #expect(push.next(20) == [0, 2, 4, 6, 8, 11, 13, 15, 17, 19])
  }

  @Test func aWaitMovesItsOwnThreadAlone() {
    // Eight, more than the paper's bubbles have pivots.
    let threads = (0..<8 as Range<Int>).map { thread in (0..<4).map { 32 - 8 + thread - 8 * $0 } }
    let push = Pusher("replay+lru", slots: 32, order: Self.order(threads.flatMap { $0 }))
    for thread in 0..<8 { _ = push.fault(threads[thread][0], context: UInt32(thread + 1)) }
    _ = push.fault(threads[7][1], context: 8)
    let next = push.next(16)
    #expect(Array(next.prefix(8)) == (0..<7).map { threads[$0][1] } + [threads[7][2]])
    #expect(Array(next.dropFirst(8)) == (0..<7).map { threads[$0][2] } + [threads[7][3]])
  }

  @Test func whatComesNextIsPromisedInRuns() {
    // Two pointers, one upwards and one downwards, and then elsewhere.
    let turns = (0..<20).flatMap { [100 + $0, 299 - $0] }
    let push = Pusher("replay+lru", slots: 400, order: Self.order(turns + [350]))
    _ = push.fault(100)
    #expect(push.promise == Promise(first: 299, count: -20))
    #expect(push.next(1) == [299])
    #expect(push.promise == Promise(first: 101, count: 19))
    #expect(push.next(1) == [101])
    #expect(push.promise == Promise(first: 350, count: 1))
    // What nobody has touched follows what was; no more of it than 63 pages ahead.
    #expect(push.next(1) == [298])
    #expect(push.promise == Promise(first: 0, count: 26))
    #expect(push.next(1) == [102])
    #expect(push.promise == Promise(first: 26, count: 1))
  }

  @Test func whatWasSentOrFreedIsNotPromised() {
    let push = Pusher("replay+lru", slots: 6, order: Self.order([4, 0, 1, 2, 3, 5]))
    let wasPending = push.remove(1)
    #expect(wasPending)
    _ = push.fault(4)
    #expect(push.promise == Promise(first: 0, count: 1))
    #expect(push.next(1) == [0])
    #expect(push.promise == Promise(first: 2, count: 2))
  }

  @Test func withoutAnOrderItGoesBySlots() {
    let push = Pusher("replay", slots: 10)
    _ = push.fault(6)
    #expect(push.promise == Promise(first: 7, count: 3))
    #expect(push.next(10) == [7, 8, 9, 0, 1, 2, 3, 4, 5])
  }
}
