// SPDX-License-Identifier: Apache-2.0

/// What a page holds, as a function of the run's seed, the page and how often it was written:
/// a page of another place or an earlier version is as wrong as a damaged one. No two words compress
/// each other, unless the data is to be compressible: then the page's first quarter comes four times.
struct PagePattern {
  private let seed: UInt64
  private let distinctWords: Int

  init(seed: UInt64, compressible: Bool) {
    self.seed = mix(seed)
    distinctWords = compressible ? pageWords / 4 : pageWords
  }

  /// What the words of a page in this version are made from.
  @inline(__always) func start(page: Int, version: Int) -> UInt64 {
    mix(seed ^ mix(UInt64(truncatingIfNeeded: page)) &+ UInt64(truncatingIfNeeded: version))
  }

  /// Word `index` of a page whose words are made from `start`.
  // One multiplication a word: emulated guests run this too.
  @inline(__always) func word(_ index: Int, _ start: UInt64) -> UInt64 {
    // A power of two, so that this is a mask.
    let distinct = index & (distinctWords &- 1)
    let x = (start &+ UInt64(truncatingIfNeeded: distinct)) &* golden
    return x ^ (x &>> 32)
  }

  /// Writes version `version` of page `page` to `words`; the first store is timed.
  @inline(__always) func write(
    page: Int, version: Int, to words: UnsafeMutablePointer<UInt64>, _ meter: inout Meter
  ) {
    let start = start(page: page, version: version)
    meter.store(words, word(0, start))
    for index in 1..<pageWords { words[index] = word(index, start) }
  }

  /// Makes sure that `words` is version `version` of page `page`; the first load is timed.
  @inline(__always) func check(
    page: Int, version: Int, in words: UnsafeMutablePointer<UInt64>, _ meter: inout Meter
  ) throws(WrongData) {
    let start = start(page: page, version: version)
    var difference = meter.load(words) ^ word(0, start)
    for index in 1..<pageWords { difference |= words[index] ^ word(index, start) }
    if difference != 0 { throw wrong(page, start, words) }
  }

  @inline(never) private func wrong(
    _ page: Int, _ start: UInt64, _ words: UnsafeMutablePointer<UInt64>
  ) -> WrongData {
    for index in 0..<pageWords where words[index] != word(index, start) {
      return WrongData(
        page: page, word: index, expected: word(index, start), found: words[index])
    }
    return WrongData("page \(page) was wrong once and is right when read again")
  }
}
