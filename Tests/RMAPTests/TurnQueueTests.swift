// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import RMAP

@Suite struct TurnQueueTests {
  /// Against a plain array, from seeds.
  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func turnsComeInOrder(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let capacity = random.within(1...30)
    var queue = TurnQueue(capacity: capacity)
    var waiting: [Int] = []
    for _ in 0..<2000 {
      let member = random.below(capacity)
      switch random.below(4) {
      case 0, 1:
        queue.append(member)
        if !waiting.contains(member) { waiting.append(member) }
      case 2:
        queue.remove(member)
        waiting.removeAll { $0 == member }
      default:
        if !waiting.isEmpty {
          #expect(queue.removeFirst() == waiting.removeFirst(), "seed \(seed)")
        }
      }
      #expect(queue.count == waiting.count, "seed \(seed)")
    }
  }
}
