// SPDX-License-Identifier: Apache-2.0

/// Events by time; those of the same time in the order in which they were put in.
struct EventQueue<Value> {
  private struct Entry {
    var time: Double
    var number: Int
    var value: Value
    func isBefore(_ other: Entry) -> Bool { (time, number) < (other.time, other.number) }
  }

  private var heap: [Entry] = []
  private var pushed = 0

  var firstTime: Double? { heap.first?.time }

  mutating func push(_ value: Value, at time: Double) {
    heap.append(Entry(time: time, number: pushed, value: value))
    pushed += 1
    var child = heap.count - 1
    while child > 0, heap[child].isBefore(heap[(child - 1) / 2]) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func pop() -> (time: Double, value: Value)? {
    guard let first = heap.first else { return nil }
    let last = heap.removeLast()
    if heap.isEmpty { return (first.time, first.value) }
    heap[0] = last
    var parent = 0
    while true {
      var child = 2 * parent + 1
      guard child < heap.count else { break }
      if child + 1 < heap.count, heap[child + 1].isBefore(heap[child]) { child += 1 }
      guard heap[child].isBefore(heap[parent]) else { break }
      heap.swapAt(child, parent)
      parent = child
    }
    return (first.time, first.value)
  }
}
