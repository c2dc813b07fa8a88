// SPDX-License-Identifier: Apache-2.0
import Prepaging
import Testing

/// The paper's Figure 2, line by line, with a page a call.
///
/// Two things are ours: a fault lets the round that is under way go, and the loop runs until
/// everything is sent, where the figure ends a step early and leaves the first page out if the
/// pivot is in the upper half.
private struct FigureTwo {
  var bitmap: [Bool]
  var pivot = 0
  var bubble = 0
  /// The rest of the round.
  var queue: [Int] = []

  init(pending: [Bool]) { bitmap = pending.map { !$0 } }

  mutating func next() -> Int? {
    while queue.isEmpty {
      guard bitmap.contains(false) else { return nil }
      let left = max(0, pivot - bubble)
      let right = min(bitmap.count - 1, pivot + bubble)
      for page in [left, right] where !bitmap[page] {
        bitmap[page] = true
        queue.append(page)
      }
      bubble += 1
    }
    return queue.removeFirst()
  }

  mutating func fault(_ page: Int) -> Bool {
    guard !bitmap[page] || queue.contains(page) else { return false }
    // Pages of the round that were only queued have not been sent.
    for page in queue { bitmap[page] = false }
    queue = []
    bitmap[page] = true
    pivot = page
    bubble = 1
    return true
  }
}

@Suite struct FigureTwoTests {
  @Test func aWorkedExample() {
    let prepager = Pusher("bubble-dual", slots: 12)
    // The pivot stands at the start: forward only.
    #expect(prepager.next(3) == [0, 1, 2])
    // Then left and right of the fault, until the left edge finds what was sent.
    #expect(prepager.fault(7))
    #expect(prepager.next(4) == [6, 8, 5, 9])
    // A fault on a page that was sent moves nothing.
    #expect(!prepager.fault(8))
    #expect(prepager.next(5) == [4, 10, 3, 11])
    #expect(prepager.remaining == 0)
  }

  @Test func atABoundaryTheOtherEdgeGoesOn() {
    let prepager = Pusher("bubble-dual", slots: 8)
    #expect(prepager.fault(6))
    #expect(prepager.next(9) == [5, 7, 4, 3, 2, 1, 0])
  }

  @Test func theOrderIsThatOfThePseudoCode() {
    for seed in UInt64(0)..<4000 {
      var random = SeededRandom(seed: seed)
      let slots = 1 + random.below(200)
      let density = random.within(0.1...1)
      let bits = (0..<slots).map { _ in random.within(0...1) < density }
      var figure = FigureTwo(pending: bits)
      var prepager = Prepager(Strategy("bubble-dual")!, slots: slots)
      for (slot, bit) in bits.enumerated() where bit {
        prepager.add(SlotRange(first: slot, count: 1))
      }
      let faultsIn = 2 + random.below(20)
      var done = false
      while !done {
        if random.below(faultsIn) == 0 {
          let slot = random.below(slots)
          let (ours, theirs) = (prepager.fault(slot, context: 0), figure.fault(slot))
          #expect(ours == theirs, "seed \(seed)")
        } else {
          let (ours, theirs) = (prepager.next(), figure.next())
          #expect(ours == theirs, "seed \(seed)")
          if ours != theirs { return }
          done = ours == nil
        }
      }
    }
  }
}
