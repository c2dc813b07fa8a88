// SPDX-License-Identifier: Apache-2.0
import RMAP
import Synchronization

/// In which order each thread first waited for pages: what a later post-copy of the same programs can be told as their
/// order.
///
/// One thread appends, any may read what is there. Twelve bytes for each slot; nothing is allocated while it is filled.
final class TouchLog: Sendable {
  private nonisolated(unsafe) let slots: UnsafeMutablePointer<UInt64>
  private nonisolated(unsafe) let threads: UnsafeMutablePointer<UInt32>
  private let capacity: Int
  private let count = Atomic<Int>(0)

  /// - Parameter capacity: slots of the region. A slot that is waited for again, after a broken link, may be noted again;
  ///   what finds no room is left out.
  init(capacity: UInt64) {
    self.capacity = Int(capacity)
    slots = .allocate(capacity: self.capacity)
    threads = .allocate(capacity: self.capacity)
  }

  deinit {
    slots.deallocate()
    threads.deallocate()
  }

  /// - Parameter thread: its id; 0 where the kernel does not say.
  func append(_ slot: UInt64, thread: UInt32) {
    let index = count.load(ordering: .relaxed)
    guard index < capacity else { return }
    slots[index] = slot
    threads[index] = thread
    count.store(index + 1, ordering: .releasing)
  }

  /// What is there, thread after thread, of each those touched first in front; slots that follow one another make one
  /// extent.
  ///
  /// What threads do side by side is told one behind the other, since how they interleave is chance: another time one is
  /// ahead that was behind, and the order of all their touches would then be nobody's.
  var extents: [Extent] {
    var orders: [[Extent]] = []
    var places: [UInt32: Int] = [:]
    for index in 0..<count.load(ordering: .acquiring) {
      let place = places[threads[index], default: orders.count]
      if place == orders.count {
        places[threads[index]] = place
        orders.append([])
      }
      let slot = slots[index]
      if let last = orders[place].last, last.slot + UInt64(last.count) == slot, last.count < .max {
        orders[place][orders[place].count - 1].count += 1
      } else {
        orders[place].append(Extent(slot: slot, count: 1))
      }
    }
    return orders.flatMap { $0 }
  }
}
