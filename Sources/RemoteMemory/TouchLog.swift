// SPDX-License-Identifier: Apache-2.0
import RMAP
import Synchronization

/// In which order pages were first waited for: what a later post-copy of the same program can be told as its
/// order.
///
/// One thread appends, any may read what is there. Eight bytes for each slot; nothing is allocated after the start.
final class TouchLog: Sendable {
  private nonisolated(unsafe) let slots: UnsafeMutablePointer<UInt64>
  private let capacity: Int
  private let count = Atomic<Int>(0)

  /// - Parameter capacity: slots of the region. A slot that is waited for again, after a broken link, may be noted again;
  ///   what finds no room is left out.
  init(capacity: UInt64) {
    self.capacity = Int(capacity)
    slots = .allocate(capacity: Int(capacity))
  }

  deinit { slots.deallocate() }

  func append(_ slot: UInt64) {
    let index = count.load(ordering: .relaxed)
    guard index < capacity else { return }
    slots[index] = slot
    count.store(index + 1, ordering: .releasing)
  }

  /// What is there, those touched first in front; slots that follow one another make one extent.
  var extents: [Extent] {
    var extents: [Extent] = []
    for index in 0..<count.load(ordering: .acquiring) {
      if let last = extents.last, last.slot + UInt64(last.count) == slots[index], last.count < .max
      {
        extents[extents.count - 1].count += 1
      } else {
        extents.append(Extent(slot: slots[index], count: 1))
      }
    }
    return extents
  }
}
