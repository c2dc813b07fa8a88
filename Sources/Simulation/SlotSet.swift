// SPDX-License-Identifier: Apache-2.0
import Glibc

/// A set of slots, a bit for each; memory that is not touched costs none.
struct SlotSet: ~Copyable {
  private let words: UnsafeMutablePointer<UInt64>

  /// - Parameter slots: of the largest member, one more.
  init(slots: UInt64) {
    let count = Int(slots / 64 + 1)
    guard let memory = calloc(count, 8) else { fatalError("no memory for a set of \(slots) slots") }
    words = memory.bindMemory(to: UInt64.self, capacity: count)
  }

  deinit { free(words) }

  /// Puts a slot in; whether it was not in before.
  func insert(_ slot: UInt64) -> Bool {
    let bit: UInt64 = 1 << (slot % 64)
    let word = words + Int(slot / 64)
    defer { word.pointee |= bit }
    return word.pointee & bit == 0
  }
}
