// SPDX-License-Identifier: Apache-2.0
import CTestSupport
import Testing

@testable import Prepaging

/// What holds for every strategy, whatever happens in whatever order.
@Suite(.serialized) struct PropertyTests {
  static let sizes = [0, 1, 2, 63, 64, 65, 1000, 4095, 4096, 4097]

  @Test(arguments: StrategyTests.all)
  func everySlotComesOutExactlyOnce(strategy: Strategy) {
    for seed in UInt64(0)..<150 {
      var random = SeededRandom(seed: seed)
      check(strategy, slots: Self.sizes[Int(seed) % Self.sizes.count], seed: seed, &random)
    }
  }

  @Test(arguments: StrategyTests.all)
  func soItDoesInALargeRegion(strategy: Strategy) {
    var random = SeededRandom(seed: 99)
    check(strategy, slots: 262_145, seed: 99, &random)
  }

  private func check(
    _ strategy: Strategy, slots: Int, seed: UInt64, _ random: inout SeededRandom
  ) {
    let place: Comment = "\(strategy), \(slots) slots, seed \(seed)"
    var expected = [Bool](repeating: false, count: slots)
    var left = 0
    var prepager = Prepager(strategy, slots: slots, order: hints(slots, &random))
    for _ in 0...random.below(8) {
      let range = self.range(slots, &random)
      prepager.add(range)
      for slot in range.clipped(to: slots) where !expected[slot] {
        expected[slot] = true
        left += 1
      }
    }
    let remaining = prepager.remaining
    #expect(remaining == left, place)

    var walk = 0
    let faultsIn = 2 + random.below(30)
    let changesIn = 20 + random.below(200)
    while true {
      if random.below(faultsIn) == 0 {
        // Walks up, down and anywhere, past either end too.
        walk += [1, 1, 1, -1, 2, 7, random.below(2 * slots + 3) - slots][random.below(7)]
        if random.below(20) == 0 { walk = random.below(slots + 2) - 1 }
        let was = expected.indices.contains(walk) && expected[walk]
        let pending = prepager.isPending(walk)
        #expect(pending == was, place)
        let found = prepager.fault(walk, context: UInt32(random.below(4)))
        #expect(found == was, place)
        if was {
          expected[walk] = false
          left -= 1
        }
      } else if random.below(changesIn) == 0 {
        let range = self.range(slots, &random)
        if random.below(4) == 0 {
          prepager.remove(range)
          for slot in range.clipped(to: slots) where expected[slot] {
            expected[slot] = false
            left -= 1
          }
        } else {
          let was = expected.indices.contains(range.first) && expected[range.first]
          let found = prepager.remove(range.first)
          #expect(found == was, place)
          if was {
            expected[range.first] = false
            left -= 1
          }
        }
      } else if strategy.kind == .demandOnly {
        let slot = prepager.next()
        #expect(slot == nil, place)
        guard left > 0 else { break }
        if random.below(50) == 0 { break }
      } else {
        guard let slot = prepager.next() else { break }
        guard expected.indices.contains(slot), expected[slot] else {
          Issue.record("slot \(slot) came out but was not pending: \(place)")
          return
        }
        expected[slot] = false
        left -= 1
      }
      if prepager.remaining != left {
        Issue.record("\(prepager.remaining) remain, not \(left): \(place)")
        return
      }
    }
    if strategy.kind != .demandOnly { #expect(left == 0, "stalled: \(place)") }
  }

  private func range(_ slots: Int, _ random: inout SeededRandom) -> SlotRange {
    switch random.below(10) {
    case 0: SlotRange(first: .max - 5, count: .max)
    case 1: SlotRange(first: -3, count: slots + 9)
    case 2: SlotRange(first: random.below(slots + 1), count: -1)
    default: SlotRange(first: random.below(slots + 1), count: 1 + random.below(slots / 2 + 3))
    }
  }

  /// Orders with repeated slots, and slots past the end.
  private func hints(_ slots: Int, _ random: inout SeededRandom) -> [SlotRange] {
    (0..<random.below(40)).map { _ in
      random.below(2) == 0
        ? SlotRange(first: random.below(slots + 5), count: random.below(30))
        : range(slots, &random)
    }
  }

  @Test func hintsArePutInOrder() {
    for seed in UInt64(0)..<500 {
      var random = SeededRandom(seed: seed)
      let slots = Self.sizes[Int(seed) % Self.sizes.count]
      let hints = hints(slots, &random)
      var expected: [Int] = []
      var named = Set<Int>()
      for hint in hints {
        for slot in hint.clipped(to: slots) where named.insert(slot).inserted {
          expected.append(slot)
        }
      }
      expected += (0..<slots).filter { !named.contains($0) }
      var order = SlotOrder(slots: slots, hints: hints)
      for (position, slot) in expected.enumerated() {
        let (found, back) = (order.slot(at: position), order.position(of: slot))
        #expect(found == slot && back == position, "seed \(seed)")
      }
    }
  }

  /// A step's cost does not grow with what was sent: at 1 TiB it reads a few words, whatever
  /// happens.
  @Test(arguments: StrategyTests.all)
  func aStepReadsFewWordsAtOneTebibyte(strategy: Strategy) {
    guard strategy.kind != .demandOnly else { return }
    let slots = 1 << 28
    var random = SeededRandom(seed: 7)
    let order = (0..<1000).map { _ in SlotRange(first: random.below(slots), count: 5000) }
    var prepager = Prepager(strategy, slots: slots, order: order)
    prepager.add(SlotRange(first: 0, count: slots))
    // Most was sent already, in large parts: a rescan would show.
    for part in 0..<63 {
      prepager.remove(SlotRange(first: part << 22 + 1000, count: 1 << 22 - 2000))
    }
    let steps = 200_000
    let before = prepager.wordsVisited
    for step in 0..<steps {
      if step % 10 == 0 { _ = prepager.fault(random.below(slots), context: UInt32(step % 5)) }
      if prepager.next() == nil {
        Issue.record("stalled at step \(step)")
        return
      }
    }
    // Five levels up and down, on both sides of a pivot.
    let words = prepager.wordsVisited - before
    #expect(words <= 20 * steps, "\(words) words in \(steps) steps")
  }

  @Test(arguments: StrategyTests.all)
  func nothingIsAllocatedAfterTheStart(strategy: Strategy) {
    var random = SeededRandom(seed: 3)
    let slots = 1 << 16
    var prepager = Prepager(strategy, slots: slots, order: hints(slots, &random))
    test_watch_allocations(test_thread_id())
    defer { test_watch_allocations(0) }
    prepager.add(SlotRange(first: 0, count: slots))
    var sum = 0
    for step in 0..<slots {
      if step % 7 == 0 { sum += prepager.fault(random.below(slots), context: UInt32(step)) ? 1 : 0 }
      if step % 50 == 0 { sum += prepager.remove(random.below(slots)) ? 1 : 0 }
      if step % 500 == 0 { prepager.remove(SlotRange(first: random.below(slots), count: 20)) }
      sum += prepager.next() ?? 0
    }
    let allocations = test_allocations()
    #expect(sum != 0 || strategy.kind == .demandOnly)
    #expect(allocations == 0, "\(allocations) allocations")
  }
}
