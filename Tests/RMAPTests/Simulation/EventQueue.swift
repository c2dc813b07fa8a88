// SPDX-License-Identifier: Apache-2.0

/// What happens when, earliest first; what is due together comes in the order it was added.
struct EventQueue<Event> {
  private struct Entry {
    var at_ns: UInt64
    var number: UInt64
    var event: Event

    func comes(before other: Entry) -> Bool {
      (at_ns, number) < (other.at_ns, other.number)
    }
  }

  private var heap: [Entry] = []
  private var added: UInt64 = 0

  /// When the next event is due.
  var next_ns: UInt64 { heap.first?.at_ns ?? .max }

  mutating func add(_ event: Event, at_ns: UInt64) {
    heap.append(Entry(at_ns: at_ns, number: added, event: event))
    added += 1
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child].comes(before: heap[parent]) else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  mutating func removeFirst() -> Event {
    heap.swapAt(0, heap.count - 1)
    let first = heap.removeLast()
    var parent = 0
    while true {
      var least = parent
      for child in 2 * parent + 1..<2 * parent + 3
      where child < heap.count && heap[child].comes(before: heap[least]) {
        least = child
      }
      if least == parent { return first.event }
      heap.swapAt(least, parent)
      parent = least
    }
  }
}
