// SPDX-License-Identifier: Apache-2.0

/// A size in bytes as people write it: a whole number with an optional suffix K, M, G or T
/// (powers of 1024, either case), the spelling that the kernel's `memparse` takes.
public struct ByteSize: Sendable, Equatable {
  /// The size in bytes.
  public var bytes: UInt64

  /// A size of `bytes` bytes.
  public init(bytes: UInt64) { self.bytes = bytes }

  /// Why a text is no size.
  public struct Invalid: Error, CustomStringConvertible, Equatable {
    /// A sentence: what was wrong and what is allowed.
    public var description: String
  }

  /// The size that `text` spells.
  ///
  /// - Throws: ``Invalid`` when `text` is no whole number, has another suffix, or passes 2⁶⁴ − 1.
  public init(parsing text: String) throws(Invalid) {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    let shift: UInt64
    switch text.dropFirst(digits.count).lowercased() {
    case "": shift = 0
    case "k": shift = 10
    case "m": shift = 20
    case "g": shift = 30
    case "t": shift = 40
    default:
      throw Invalid(
        description:
          "'\(text)' is no size; give bytes, or a whole number with K, M, G or T, such as 512M")
    }
    guard !digits.isEmpty else {
      throw Invalid(
        description: "'\(text)' is no size; give a whole number first, such as 512M")
    }
    guard let number = UInt64(digits),
      case (let value, let overflow) = number.multipliedReportingOverflow(by: 1 << shift), !overflow
    else {
      throw Invalid(description: "'\(text)' is too large; sizes end below 16777216T")
    }
    bytes = value
  }
}

extension ByteSize: CustomStringConvertible {
  /// The size for people: one decimal in the largest unit that gives at least 1, as in `1.5 GiB`.
  public var description: String {
    var unit = 0
    var value = Double(bytes)
    while value >= 1024, unit < 4 {
      value /= 1024
      unit += 1
    }
    let names = ["B", "KiB", "MiB", "GiB", "TiB"]
    return unit == 0 ? "\(bytes) B" : "\(decimal(value, places: 1)) \(names[unit])"
  }
}
