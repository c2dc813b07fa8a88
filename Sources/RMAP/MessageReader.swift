// SPDX-License-Identifier: Apache-2.0
import CRMAP

/// Why a frame, or the rest of one, was dropped before its fields were looked at.
public enum FrameFault: Sendable {
  /// Shorter than a header and the payload that it announces.
  case truncated
  /// `version` is not ours; `Message.header` can be answered but not trusted.
  case version
  /// The checksum is wrong.
  case checksum
}

/// One message of a frame: its header and its payload, valid as long as the frame's bytes are.
public struct Message {
  public var header: Header
  public var payload: UnsafeRawBufferPointer
  /// XXH64 with seed 0 of the payload, 0 when there is none.
  public var payloadHash: UInt64

  @inlinable
  init(header: Header, payload: UnsafeRawBufferPointer, payloadHash: UInt64) {
    self.header = header
    self.payload = payload
    self.payloadHash = payloadHash
  }
}

/// Takes a frame apart into its messages, checking each in the order PROTOCOL.md section 1 gives.
public struct MessageReader {
  /// What `next` found.
  public enum Item {
    case message(Message)
    case fault(FrameFault, Header)
    case end
  }

  @usableFromInline var rest: UnsafeRawBufferPointer

  /// - Parameter frame: what is behind the Ethernet header, padding included.
  @inlinable
  public init(_ frame: UnsafeRawBufferPointer) {
    rest = frame
  }

  /// The next message, or why there is none. After `.fault` or `.end`, do not call again.
  @inlinable
  public mutating func next() -> Item {
    guard rest.count > 0, let base = rest.baseAddress else { return .end }
    guard rest.count >= Wire.headerBytes else {
      // Fewer bytes than a header: padding if they are zero, else a frame cut short.
      return rest.allSatisfy({ $0 == 0 }) ? .end : .fault(.truncated, Header())
    }
    let header = Header(at: base)
    if header.opcode == Opcode.pad.rawValue { return .end }
    guard header.version == Wire.version else { return .fault(.version, header) }
    let length = header.payloadLength
    guard rest.count - Wire.headerBytes >= length else { return .fault(.truncated, header) }
    let payload = UnsafeRawBufferPointer(start: base + Wire.headerBytes, count: length)
    let hash = RMAP.payloadHash(payload)
    guard header.expectedChecksum(payloadHash: hash) == UInt64(littleEndian: header.checksum)
    else { return .fault(.checksum, header) }
    rest = UnsafeRawBufferPointer(
      start: base + Wire.headerBytes + length, count: rest.count - Wire.headerBytes - length)
    return .message(Message(header: header, payload: payload, payloadHash: hash))
  }
}
