// SPDX-License-Identifier: Apache-2.0

/// The positions whose pages are still to be sent: one bit each, under levels of summary.
///
/// A bit of a summary word says that one of the 64 words below is not zero, so the next pending
/// position in either direction is found in at most two words a level, five levels for 2^28
/// positions, however much was sent in between. Memory: a bit for each position and a sixty-third
/// of that.
struct PendingSet: ~Copyable {
  /// Positions are `0..<count`.
  let count: Int
  /// Positions in the set.
  private(set) var remaining = 0
  /// Words read by `next` and `previous` so far: what a step costs, free of any clock.
  private(set) var wordsVisited = 0

  private typealias Words = UnsafeMutablePointer<UInt64>
  private let storage: Words
  private let levels: UnsafeMutablePointer<Words>
  private let depth: Int

  /// An empty set.
  init(count: Int) {
    self.count = count
    var sizes: [Int] = []
    var size = count
    repeat {
      size = (size + 63) / 64
      sizes.append(size)
    } while size > 1
    // A word of zeros ends each level: `next` may look there.
    let total = sizes.reduce(0) { $0 + $1 + 1 }
    storage = .allocate(capacity: total)
    storage.initialize(repeating: 0, count: total)
    levels = .allocate(capacity: sizes.count)
    depth = sizes.count
    var start = storage
    for (level, size) in sizes.enumerated() {
      (levels + level).initialize(to: start)
      start += size + 1
    }
  }

  deinit {
    storage.deallocate()
    levels.deallocate()
  }

  func contains(_ position: Int) -> Bool {
    guard position >= 0, position < count else { return false }
    return levels[0][position >> 6] & (1 << UInt64(position & 63)) != 0
  }

  /// The first position in the set at `position` or after.
  mutating func next(from position: Int) -> Int? {
    guard position < count else { return nil }
    var index = max(0, position)
    var level = 0
    while true {
      let word = index >> 6
      wordsVisited += 1
      let bits = levels[level][word] & (~0 << UInt64(index & 63))
      if bits != 0 {
        index = word << 6 | bits.trailingZeroBitCount
        break
      }
      level += 1
      if level == depth { return nil }
      index = word + 1
    }
    while level > 0 {
      level -= 1
      wordsVisited += 1
      index = index << 6 | levels[level][index].trailingZeroBitCount
    }
    return index
  }

  /// The last position in the set at `position` or before.
  mutating func previous(from position: Int) -> Int? {
    guard position >= 0, count > 0 else { return nil }
    var index = min(position, count - 1)
    var level = 0
    while true {
      let word = index >> 6
      wordsVisited += 1
      let bits = levels[level][word] & (~0 >> UInt64(63 - index & 63))
      if bits != 0 {
        index = word << 6 | (63 - bits.leadingZeroBitCount)
        break
      }
      level += 1
      if level == depth || word == 0 { return nil }
      index = word - 1
    }
    while level > 0 {
      level -= 1
      wordsVisited += 1
      index = index << 6 | (63 - levels[level][index].leadingZeroBitCount)
    }
    return index
  }

  /// Where the run of set positions that begins at `position` ends, at most at `limit`.
  func endOfRun(from position: Int, limit: Int) -> Int {
    var index = position
    while index < limit {
      let clear = ~levels[0][index >> 6] >> UInt64(index & 63)
      if clear != 0 {
        index += clear.trailingZeroBitCount
        break
      }
      index = (index | 63) + 1
    }
    return min(index, limit)
  }

  /// Takes a position out; whether it was in.
  mutating func remove(_ position: Int) -> Bool {
    guard contains(position) else { return false }
    remaining -= 1
    var index = position
    for level in 0..<depth {
      let word = index >> 6
      levels[level][word] &= ~(1 << UInt64(index & 63))
      if levels[level][word] != 0 { break }
      index = word
    }
    return true
  }

  /// Puts positions, which must be below `count`, in.
  mutating func insert(_ range: Range<Int>) {
    guard !range.isEmpty else { return }
    var first = range.lowerBound
    var last = range.upperBound - 1
    for level in 0..<depth {
      let words = levels[level]
      for word in (first >> 6)...(last >> 6) {
        let mask = Self.mask(word, first, last)
        if level == 0 { remaining += (mask & ~words[word]).nonzeroBitCount }
        words[word] |= mask
      }
      first >>= 6
      last >>= 6
    }
  }

  /// Takes positions, which must be below `count`, out.
  mutating func remove(_ range: Range<Int>) {
    guard !range.isEmpty else { return }
    var first = range.lowerBound
    var last = range.upperBound - 1
    for level in 0..<depth {
      let words = levels[level]
      for word in (first >> 6)...(last >> 6) {
        let mask = Self.mask(word, first, last)
        if level == 0 { remaining -= (mask & words[word]).nonzeroBitCount }
        words[word] &= ~mask
      }
      // Only the outermost words can have kept a bit.
      first = words[first >> 6] == 0 ? first >> 6 : (first >> 6) + 1
      last = words[last >> 6] == 0 ? last >> 6 : (last >> 6) - 1
      if first > last { break }
    }
  }

  /// The bits of a word that lie in `first...last`.
  private static func mask(_ word: Int, _ first: Int, _ last: Int) -> UInt64 {
    var mask = ~UInt64(0)
    if word == first >> 6 { mask &= ~0 << UInt64(first & 63) }
    if word == last >> 6 { mask &= ~0 >> UInt64(63 - last & 63) }
    return mask
  }
}
