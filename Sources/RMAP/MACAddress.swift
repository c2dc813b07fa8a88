// SPDX-License-Identifier: Apache-2.0

/// An Ethernet address.
public struct MACAddress: Hashable, Sendable {
  /// The six bytes, the first on the wire in bits 40–47.
  public var value: UInt64

  @inlinable
  public init(value: UInt64) {
    self.value = value & 0xFFFF_FFFF_FFFF
  }

  /// Loads an address from six bytes of a frame.
  @inlinable
  public init(at bytes: UnsafeRawPointer) {
    let high = bytes.loadUnaligned(as: UInt16.self).bigEndian
    let low = (bytes + 2).loadUnaligned(as: UInt32.self).bigEndian
    value = UInt64(high) << 32 | UInt64(low)
  }

  /// Stores the address as six bytes of a frame.
  @inlinable
  public func store(at bytes: UnsafeMutableRawPointer) {
    bytes.storeBytes(of: UInt16(truncatingIfNeeded: value >> 32).bigEndian, as: UInt16.self)
    (bytes + 2).storeBytes(of: UInt32(truncatingIfNeeded: value).bigEndian, as: UInt32.self)
  }

  public static let broadcast = MACAddress(value: 0xFFFF_FFFF_FFFF)

  /// Is this a group address (multicast or broadcast), which no sender may have?
  @inlinable public var isGroup: Bool { value >> 40 & 1 == 1 }
}

extension MACAddress: LosslessStringConvertible {
  /// Reads `aa:bb:cc:dd:ee:ff`, or nil.
  public init?(_ text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 6 else { return nil }
    var value: UInt64 = 0
    for part in parts {
      // The initializer would take a sign for the first digit.
      guard part.utf8.count == 2, part.first != "+", part.first != "-",
        let byte = UInt8(part, radix: 16)
      else { return nil }
      value = value << 8 | UInt64(byte)
    }
    self.init(value: value)
  }

  public var description: String {
    let digits = Array("0123456789abcdef")
    return stride(from: 40, through: 0, by: -8).map { shift in
      let byte = Int(value >> UInt64(shift) & 0xFF)
      return String([digits[byte >> 4], digits[byte & 15]])
    }.joined(separator: ":")
  }
}
