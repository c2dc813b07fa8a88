// SPDX-License-Identifier: Apache-2.0
import RMAP
import Testing

@Suite struct DueHeapTests {
  /// Against a plain array, from seeds.
  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func theFirstIsTheLeast(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let capacity = random.within(1...40)
    var heap = DueHeap(capacity: capacity)
    var dues = [UInt64](repeating: .max, count: capacity)
    for _ in 0..<2000 {
      let index = random.below(capacity)
      let due_ns = random.once(in: 3) ? .max : UInt64(random.below(50))
      heap.set(index, due_ns: due_ns)
      dues[index] = due_ns
      #expect(heap.first_ns == dues.min()!, "seed \(seed)")
      let first = dues.indices.min { (dues[$0], $0) < (dues[$1], $1) }!
      #expect(heap.first == (dues[first] == .max ? nil : first), "seed \(seed)")
      #expect(heap.count == dues.count { $0 != .max }, "seed \(seed)")
    }
  }
}
