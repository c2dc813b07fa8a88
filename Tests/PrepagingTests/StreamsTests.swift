// SPDX-License-Identifier: Apache-2.0
import Prepaging
import Testing

/// Worked examples of `streams`.
@Suite struct StreamsTests {
  @Test func aFirstFaultGetsASmallBubbleForwardFirst() {
    let streams = Pusher("streams", slots: 1000)
    #expect(streams.fault(500))
    #expect(streams.next(8) == [501, 499, 502, 498, 503, 497, 504, 496])
  }

  @Test func theNextWaitTellsTheDirection() {
    let streams = Pusher("streams", slots: 1000)
    #expect(streams.fault(500))
    #expect(streams.next(2) == [501, 499])
    // The program waits for a page on its way: down it goes.
    #expect(!streams.fault(499))
    #expect(streams.next(4) == [498, 497, 496, 495])
  }

  @Test func equalDistancesShowAStride() {
    let streams = Pusher("streams", slots: 1000)
    for slot in [100, 140, 180] { #expect(streams.fault(slot)) }
    #expect(streams.next(1) == [220])
    #expect(streams.fault(260))
    #expect(Set(streams.next(12)).isSuperset(of: [300, 340, 380]))
  }

  /// A thread that asks faster than pages can be pushed has gone on from all of its waits but the last.
  @Test func aThreadsLastWaitComesFirst() {
    let streams = Pusher("streams", slots: 80_000)
    for slot in [10_000, 20_500, 32_000] { _ = streams.fault(slot) }
    _ = streams.fault(45_000, context: 2)
    #expect(streams.next(2) == [32_001, 45_001])
    #expect(Set(streams.next(4)) == [10_001, 20_501, 31_999, 44_999])
  }

  /// A strided stream's thread may wait elsewhere for long, as it has others: their edge is theirs all the same.
  @Test func aStridedStreamGoesOnAtItsEdge() {
    let streams = Pusher("streams", slots: 80_000)
    for slot in [40_000, 40_040, 40_080] { _ = streams.fault(slot) }
    // Its window is used up, and the background has its turn.
    let given = streams.next(200)
    var edge = 40_080
    while given.contains(edge + 40) { edge += 40 }
    for place in 0..<10 { _ = streams.fault(place * place * 531 + 7) }
    _ = streams.next(100)
    #expect(streams.fault(edge + 40))
    let next = (2...9).map { edge + $0 * 40 }
    #expect(streams.next(1) == [next[0]])
    #expect(Set(streams.next(100)).isSuperset(of: next.dropFirst()))
  }

  /// However many of its pages have been sent, a strided stream comes to those that have not.
  @Test func aStridedStreamPassesOverWhatWasSent() {
    let streams = Pusher("streams", slots: 80_000)
    for slot in 10_001..<15_000 { #expect(streams.remove(slot)) }
    for slot in stride(from: 9000, through: 9900, by: 10) { _ = streams.fault(slot) }
    let given = Set(streams.next(400))
    #expect(given.contains(9910) && given.contains(15_000) && given.contains(15_010))
    #expect(!given.contains(15_001))
  }

  /// Where a thread has gone in a stride before, its second wait shows it.
  @Test func aKnownStrideIsSeenAtOnce() {
    let streams = Pusher("streams", slots: 80_000)
    for slot in [40_000, 40_017, 40_034] { _ = streams.fault(slot) }
    _ = streams.next(300)
    for slot in [50_000, 60_000, 50_017] { _ = streams.fault(slot) }
    #expect(streams.next(12).contains(50_034))
    // Another thread's is not known.
    _ = streams.fault(70_000, context: 2)
    _ = streams.fault(70_017, context: 2)
    #expect(!streams.next(12).contains(70_034))
  }

  /// What a program is told will come, it waits for without asking: it must come, and next.
  @Test(arguments: [1, -1])
  func aWindowIsPromisedOnceTheDirectionIsKnown(step: Int) throws {
    let streams = Pusher("streams", slots: 80_000)
    #expect(streams.fault(40_000))
    #expect(streams.promise == nil)
    _ = streams.next(2)
    #expect(!streams.fault(40_000 + step))
    for _ in 0..<5 {
      let promise = try #require(streams.promise)
      #expect(promise.count.signum() == step)
      let slots = (0..<abs(promise.count)).map { promise.first + $0 * step }
      #expect(streams.next(slots.count) == slots)
      // The program has used all that, and waits for the page after it.
      #expect(streams.fault(promise.first + promise.count))
    }
  }

  /// Among others, a program that finds every page in time, as told, asks for nothing until its window is used up. One alone
  /// asks where its promise ends.
  @Test(arguments: [1, -1], [true, false])
  func moreIsPromisedAsPagesAreGivenOut(step: Int, areOthers: Bool) throws {
    let streams = Pusher("streams", slots: 80_000)
    for slot in [40_000, 40_000 + step] { _ = streams.fault(slot) }
    var told = 40_000
    for _ in 0..<5 {
      let promise = try #require(streams.promise)
      told = promise.first + promise.count
      _ = streams.next(abs(promise.count))
      _ = streams.fault(told)
    }
    told += try #require(streams.promise).count + step
    if areOthers { _ = streams.fault(10, context: 2) }
    var given = 0
    for _ in 0..<2000 {
      let next = try #require(streams.next(1).first)
      if let promise = streams.promise {
        #expect(promise.first == told)
        told += promise.count
      }
      // The other thread's pages come in turn with these.
      guard (10_000...70_000).contains(next) else { continue }
      guard (told - next) * step > 0 else { break }
      given += 1
    }
    // Several times what one promise has, or one.
    #expect(areOthers ? given > 500 : given <= 48)
  }

  /// Whose thread has waited elsewhere for long comes last, until the thread waits for what it was given.
  @Test func aStreamThatIsWaitedForGoesOn() {
    let streams = Pusher("streams", slots: 80_000)
    _ = streams.fault(40_000)
    _ = streams.fault(40_001)
    _ = streams.fault(40_006)
    // Between these is what was promised before.
    let given = streams.next(8)
    #expect(Set(given) == Set(40_002...40_010).subtracting([40_006]))
    for place in 0..<10 { _ = streams.fault(place * place * 531 + 7) }
    #expect(!streams.fault(40_008))
    #expect(streams.next(60).count(where: { (40_011..<40_040).contains($0) }) > 4)
  }

  /// A program may come back to what it was told of and went past: that is pushed in turn with what comes next.
  @Test(arguments: [1, -1])
  func whatWasPromisedIsPushedThoughItIsPassedOver(step: Int) throws {
    let streams = Pusher("streams", slots: 80_000)
    for slot in [40_000, 40_000 + step] { _ = streams.fault(slot) }
    let promise = try #require(streams.promise)
    let promised = (0..<abs(promise.count)).map { promise.first + $0 * step }
    #expect(promised.count > 6)
    #expect(streams.fault(promised[6]))
    let left = promised[..<6]
    let given = streams.next(13)
    #expect(Set(given).isSuperset(of: left))
    // Neither waits for the other.
    #expect(given.filter(left.contains) == Array(left))
    #expect(given.filter { !left.contains($0) } == (1...7).map { promised[6] + $0 * step })
  }

  /// Of one thread's many streams none promises what could come late only; another thread may come to need all of it.
  @Test(arguments: [true, false])
  func aThreadAloneIsPromisedLessTheMoreStreamsItHas(isAlone: Bool) throws {
    let streams = Pusher("streams", slots: 800_000)
    let counts = (0..<40).map { place in
      // No two equally far apart, which would be a stride.
      let start = 1000 + place * (10_000 + place * 13)
      for slot in [start, start + 1] { _ = streams.fault(slot) }
      let count = streams.promise?.count ?? 0
      _ = streams.next(2)
      if !isAlone { _ = streams.fault(700_000 + place * 100, context: 2) }
      return count
    }
    #expect(counts[0] > 4)
    #expect(isAlone ? (1...2).contains(counts[39]) : counts[39] == counts[0])
  }

  @Test func whoLeavesPagesOutIsPromisedNothing() {
    let streams = Pusher("streams", slots: 1000)
    for slot in [500, 503, 509] {
      #expect(streams.fault(slot))
      #expect(streams.promise == nil)
    }
  }

  /// A program that follows the order, a little ahead of the pushes, must not lead them away from it.
  @Test func whatTheOrderIsComingToBeginsNoStream() {
    let order = (0..<100).map { SlotRange(first: $0 * 37 % 100 * 10, count: 1) }
    let streams = Pusher("streams+lru", slots: 1000, order: order)
    for place in stride(from: 0, to: 60, by: 3) {
      #expect(streams.fault(order[place].first))
      #expect(streams.next(2) == [order[place + 1].first, order[place + 2].first])
    }
    // Elsewhere one does begin, as ever.
    #expect(streams.fault(505))
    #expect(streams.next(2) == [506, 504])
  }
}
