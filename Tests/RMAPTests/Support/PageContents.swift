// SPDX-License-Identifier: Apache-2.0
import RMAP

/// Pages that can be told apart: each is made from a number, 0 being the page of zeros.
enum PageContents {
  private static var words: Int { Wire.pageBytes / 8 }

  /// Makes the page of `value`.
  static func fill(_ page: UnsafeMutableRawPointer, value: UInt64) {
    let step = value == 0 ? 0 : SeededRandom.mix(value) | 1
    for word in 0..<words {
      page.storeBytes(
        of: value &+ UInt64(word) &* step, toByteOffset: word * 8, as: UInt64.self)
    }
  }

  /// The value whose page this is; nil when it is a mixture or none at all.
  static func value(of page: UnsafeRawPointer) -> UInt64? {
    let value = page.loadUnaligned(as: UInt64.self)
    let step = value == 0 ? 0 : SeededRandom.mix(value) | 1
    for word in 1..<words
    where page.loadUnaligned(fromByteOffset: word * 8, as: UInt64.self) != value &+ UInt64(word)
      &* step
    {
      return nil
    }
    return value
  }
}
