// SPDX-License-Identifier: Apache-2.0
import Prepaging

/// A prepager that `#expect`, which cannot hold what is not copyable, can ask.
final class Pusher {
  private var prepager: Prepager

  /// All slots are to be sent.
  init(_ strategy: String, slots: Int, order: [SlotRange] = []) {
    prepager = Prepager(Strategy(strategy)!, slots: slots, order: order)
    prepager.add(SlotRange(first: 0, count: slots))
  }

  var remaining: Int { prepager.remaining }
  var ignoredHints: Int { prepager.ignoredHints }

  func fault(_ slot: Int, context: UInt32 = 1) -> Bool { prepager.fault(slot, context: context) }
  var promise: Promise? { prepager.promise }
  func remove(_ slot: Int) -> Bool { prepager.remove(slot) }

  /// The next pages, at most `count`.
  func next(_ count: Int) -> [Int] {
    var slots: [Int] = []
    while slots.count < count, let slot = prepager.next() { slots.append(slot) }
    return slots
  }
}
