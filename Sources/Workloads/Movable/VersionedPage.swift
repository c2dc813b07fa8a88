// SPDX-License-Identifier: Apache-2.0

/// A page whose first word says, masked, how often it was written and whose other words are
/// ``PagePattern``'s of that version: any use of it shows whether it is whole and in its place, and
/// a count of its writes whether it is the latest.
struct VersionedPage {
  private let pattern: PagePattern
  private let mask: UInt64

  init(seed: UInt64) {
    pattern = PagePattern(seed: seed, compressible: false)
    mask = mix(~seed)
  }

  @inline(__always) private func head(_ page: Int, _ version: Int) -> UInt64 {
    UInt64(truncatingIfNeeded: version) ^ mix(mask &+ UInt64(truncatingIfNeeded: page))
  }

  /// Writes version `version` of page `page` to `words`.
  @inline(__always) func write(
    page: Int, version: Int, to words: UnsafeMutablePointer<UInt64>
  ) {
    let start = pattern.start(page: page, version: version)
    words[0] = head(page, version)
    for index in 1..<pageWords { words[index] = pattern.word(index, start) }
  }

  /// The version of page `page` in `words`, which is one of `0...limit`.
  @inline(__always) func version(
    page: Int, limit: Int, in words: UnsafeMutablePointer<UInt64>
  ) throws(WrongData) -> Int {
    let version = Int(truncatingIfNeeded: words[0] ^ head(page, 0))
    guard 0 <= version, version <= limit else {
      throw WrongData(page: page, word: 0, expected: head(page, limit), found: words[0])
    }
    let start = pattern.start(page: page, version: version)
    var difference: UInt64 = 0
    for index in 1..<pageWords { difference |= words[index] ^ pattern.word(index, start) }
    if difference != 0 { throw wrong(page, start, words) }
    return version
  }

  /// Makes sure that `words` is version `version` of page `page`.
  func check(
    page: Int, version: Int, in words: UnsafeMutablePointer<UInt64>
  ) throws(WrongData) {
    let found = try self.version(page: page, limit: Int.max, in: words)
    guard found == version else {
      throw WrongData("page \(page): expected version \(version), found version \(found)")
    }
  }

  @inline(never) private func wrong(
    _ page: Int, _ start: UInt64, _ words: UnsafeMutablePointer<UInt64>
  ) -> WrongData {
    for index in 1..<pageWords where words[index] != pattern.word(index, start) {
      return WrongData(
        page: page, word: index, expected: pattern.word(index, start), found: words[index])
    }
    return WrongData("page \(page) was wrong once and is right when read again")
  }
}
