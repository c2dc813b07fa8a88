// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Which run of the system this is: a random number that the kernel draws when it starts.
public struct BootID: Sendable, Equatable {
  var high: UInt64
  var low: UInt64

  /// A number of the caller's choice, where a reboot is to be played.
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// The running system's.
  public static func current() throws -> BootID {
    let path = "/proc/sys/kernel/random/boot_id"
    guard let file = fopen(path, "r") else { throw StoreError.system("cannot read \(path)") }
    defer { fclose(file) }
    var text = [UInt8](repeating: 0, count: 64)
    let count = fread(&text, 1, text.count, file)
    let digits = String(decoding: text[..<count], as: UTF8.self).filter(\.isHexDigit)
    guard digits.count == 32, let high = UInt64(digits.prefix(16), radix: 16),
      let low = UInt64(digits.suffix(16), radix: 16)
    else { throw StoreError("\(path) does not hold a boot id") }
    return BootID(high: high, low: low)
  }
}
