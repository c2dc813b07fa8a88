// SPDX-License-Identifier: Apache-2.0

/// What both sorts are made of, besides Hoare's partition, which one of them times and the other can leave halfway.
enum SortSteps {
  /// Parts of so many words and fewer are sorted by insertion.
  static let insertionWords = 24

  @inline(__always) static func median(_ a: UInt64, _ b: UInt64, _ c: UInt64) -> UInt64 {
    max(min(a, b), min(max(a, b), c))
  }

  /// Sorts the words `low..<high`.
  @inline(__always) static func insert(
    _ words: UnsafeMutablePointer<UInt64>, _ low: Int, _ high: Int
  ) {
    var next = low + 1
    while next < high {
      let value = words[next]
      var place = next
      while place > low, words[place - 1] > value {
        words[place] = words[place - 1]
        place &-= 1
      }
      words[place] = value
      next &+= 1
    }
  }
}
