// SPDX-License-Identifier: Apache-2.0

/// Why a word of the command line is not what it should be: what was wrong and what is allowed.
public struct InvalidWord: Error, Equatable, CustomStringConvertible {
  /// The sentence for people.
  public let description: String
}

/// The name of a block device of memx.ko.
public struct DeviceName: Sendable, Equatable, Hashable, CustomStringConvertible {
  /// N of `/dev/memxN`.
  public let number: UInt32

  /// The device that `text` names, as `memx0` or `/dev/memx0`.
  public init(parsing text: String) throws(InvalidWord) {
    let name = text.hasPrefix("/dev/") ? text.dropFirst(5) : text[...]
    let digits = name.dropFirst(4)
    guard name.hasPrefix("memx"), digits.utf8.allSatisfy({ (48...57).contains($0) }),
      let number = UInt32(digits), String(number) == digits
    else {
      throw InvalidWord(
        description: "'\(text)' is no memx device; give memxN or /dev/memxN, such as memx0")
    }
    self.number = number
  }

  /// The name as in `/sys/block`.
  public var description: String { "memx\(number)" }
  /// The device node.
  public var path: String { "/dev/memx\(number)" }
}

/// The words of a command line, each checked before anything reaches the kernel.
public enum Word {
  /// The name of a region: 1 to 31 characters of `A-Z a-z 0-9 . _ -`.
  public static func region(_ text: String) throws(InvalidWord) -> String {
    let allowed = text.utf8.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2e, 0x5f, 0x2d: true
      default: false
      }
    }
    guard allowed, (1...31).contains(text.utf8.count) else {
      throw InvalidWord(
        description:
          "'\(text)' is no region name; allowed are 1 to 31 of the characters A-Z a-z 0-9 . _ -")
    }
    return text
  }

  /// The name of a network interface: 1 to 15 bytes without blanks, slashes and colons, as the
  /// kernel's `dev_valid_name` has it; or `rdma:` and where the server is.
  public static func link(_ text: String) throws(InvalidWord) -> String {
    if text.hasPrefix(rdmaPrefix) { return try rdmaLink(text) }
    let allowed = text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != 0x2f && $0 != 0x3a }
    guard allowed, (1...15).contains(text.utf8.count), text != ".", text != ".." else {
      throw InvalidWord(
        description:
          "'\(text)' is no network interface's name; allowed are 1 to 15 characters without "
          + "blanks, slashes and colons, such as eth0")
    }
    return text
  }

  /// A station's address as six bytes in hexadecimal with colons, in lower case. Group addresses
  /// other than broadcast belong to no server.
  public static func server(_ text: String) throws(InvalidWord) -> String {
    let bytes = text.split(separator: ":", omittingEmptySubsequences: false)
    let values = bytes.compactMap {
      $0.utf8.count == 2 && $0.first != "+" ? UInt8($0, radix: 16) : nil
    }
    guard bytes.count == 6, values.count == 6 else {
      throw InvalidWord(
        description:
          "'\(text)' is no MAC address; give six bytes in hexadecimal, such as 52:54:00:12:34:56")
    }
    guard values.contains(where: { $0 != 0 }),
      values[0] & 1 == 0 || values.allSatisfy({ $0 == 0xff })
    else {
      throw InvalidWord(
        description:
          "'\(text)' is the address of no single station; give the server's own, or leave it out "
          + "to find the server")
    }
    return text.lowercased()
  }

  /// A token: 1 to 32 printable ASCII characters without blanks.
  public static func token(_ text: String) throws(InvalidWord) -> String {
    guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }), (1...32).contains(text.utf8.count)
    else {
      throw InvalidWord(
        description: "a token is 1 to 32 printable ASCII characters without blanks")
    }
    return text
  }

  /// A number within `range`.
  public static func number(
    _ text: String, in range: ClosedRange<Int>, unit: String
  ) throws(InvalidWord) -> Int {
    guard text.utf8.allSatisfy({ (48...57).contains($0) }), let value = Int(text),
      range.contains(value)
    else {
      throw InvalidWord(
        description:
          "'\(text)' is not allowed; give \(range.lowerBound) to \(range.upperBound) \(unit)")
    }
    return value
  }

  /// An interval in seconds with a decimal point if need be, 0.1 to 3600, as milliseconds.
  public static func intervalMs(_ text: String) throws(InvalidWord) -> Int {
    // Digits and a point alone: Double also takes "inf", "0x1p3" and the like.
    guard text.utf8.allSatisfy({ (48...57).contains($0) || $0 == 0x2e }),
      let seconds = Double(text), (0.1...3600).contains(seconds)
    else {
      throw InvalidWord(description: "'\(text)' is not allowed; give 0.1 to 3600 seconds")
    }
    return Int((seconds * 1000).rounded())
  }
}
