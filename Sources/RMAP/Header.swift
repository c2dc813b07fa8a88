// SPDX-License-Identifier: Apache-2.0
import CMemx
import CRMAP

/// The header in front of every message: `struct rmap_hdr`, imported from the module's own file.
///
/// Multi-byte fields hold the wire's byte order; the accessors below convert.
public typealias Header = rmap_hdr

extension Header {
  /// A header with everything given and the checksum still to be set by `sealed`.
  @inlinable
  public init(
    opcode: UInt8, status: Status = .ok, attempt: UInt8 = 0, session: UInt32,
    tag: UInt16 = Wire.noTag, credits: UInt16 = 0, generation: UInt32 = 0, slot: UInt64 = 0,
    length: Int = 0, fragments: UInt8 = 0, ahead: Int8 = 0, count: UInt32 = 0
  ) {
    self.init(
      version: Wire.version, opcode: opcode, status: status.rawValue, attempt: attempt,
      session: session.littleEndian, tag: tag.littleEndian, credits: credits.littleEndian,
      generation: generation.littleEndian, slot: slot.littleEndian,
      length: UInt16(truncatingIfNeeded: length).littleEndian, fragments: fragments, ahead: ahead,
      count: count.littleEndian, checksum: 0)
  }

  /// Loads a header from the wire; `bytes` needs no alignment but 40 readable bytes.
  @inlinable
  public init(at bytes: UnsafeRawPointer) {
    self = bytes.loadUnaligned(as: Header.self)
  }

  /// The opcode byte without the bit that marks a reply.
  @inlinable public var request: UInt8 { opcode & ~Opcode.replyBit }
  @inlinable public var isReply: Bool { opcode & Opcode.replyBit != 0 }
  @inlinable public var sessionID: UInt32 { UInt32(littleEndian: session) }
  @inlinable public var tagIndex: UInt16 { UInt16(littleEndian: tag) }
  @inlinable public var creditCount: UInt16 { UInt16(littleEndian: credits) }
  @inlinable public var generationNumber: UInt32 { UInt32(littleEndian: generation) }
  @inlinable public var slotIndex: UInt64 { UInt64(littleEndian: slot) }
  @inlinable public var payloadLength: Int { Int(UInt16(littleEndian: length)) }
  @inlinable public var slotCount: Int { Int(UInt32(littleEndian: count)) }
  @inlinable public var statusCode: Status? { Status(rawValue: status) }

  /// The checksum that this header should carry over a payload with hash `payloadHash`.
  ///
  /// - Parameter payloadHash: XXH64 with seed 0 of the payload, or 0 when there is none.
  @inlinable
  public func expectedChecksum(payloadHash: UInt64) -> UInt64 {
    withUnsafeBytes(of: self) {
      memx_xxh64($0.baseAddress!, Wire.summedBytes, payloadHash)
    }
  }

  /// This header with its checksum set.
  ///
  /// - Parameter payloadHash: XXH64 with seed 0 of the payload, or 0 when there is none.
  @inlinable
  public func sealed(payloadHash: UInt64 = 0) -> Header {
    var header = self
    header.checksum = expectedChecksum(payloadHash: payloadHash).littleEndian
    return header
  }
}

/// The hash of a payload that a header's checksum builds on: XXH64 with seed 0, 0 for no payload.
@inlinable
public func payloadHash(_ payload: UnsafeRawBufferPointer) -> UInt64 {
  guard let base = payload.baseAddress, payload.count > 0 else { return 0 }
  return memx_xxh64(base, payload.count, 0)
}
