// SPDX-License-Identifier: Apache-2.0
import CRMAP

/// What the two ends of an RDMA connection tell one another before its first message: `struct rmap_hello`.
public struct Hello: Sendable, Equatable {
  /// The most bytes of a message that this end can take.
  public var frameBytes: Int
  /// Receives that this end keeps posted.
  public var receives: Int
  /// In a refusal, why.
  public var status: Status
  /// Of RMAP.
  public var version: UInt8

  public init(
    frameBytes: Int, receives: Int, status: Status = .ok, version: UInt8 = Wire.version
  ) {
    self.frameBytes = frameBytes
    self.receives = receives
    self.status = status
    self.version = version
  }

  /// Reads private data, which may be followed by anything.
  ///
  /// - Throws: why not, as the other end should be told.
  public init(_ bytes: UnsafeRawBufferPointer) throws(Refusal) {
    guard bytes.count >= RMAP_HELLO_BYTES else { throw Refusal(.badMessage) }
    let raw = bytes.loadUnaligned(as: rmap_hello.self)
    guard UInt32(littleEndian: raw.magic) == RMAP_HELLO_MAGIC else { throw Refusal(.badMessage) }
    guard raw.version == Wire.version else { throw Refusal(.badVersion) }
    guard let status = Status(rawValue: raw.status) else { throw Refusal(.badMessage) }
    self.status = status
    version = raw.version
    frameBytes = Int(UInt16(littleEndian: raw.frame_bytes))
    receives = Int(UInt32(littleEndian: raw.receives))
    guard status != .ok || frameBytes >= Wire.wholePageMTU && receives > 0 else {
      throw Refusal(.badMessage)
    }
  }

  /// The private data.
  public var raw: rmap_hello {
    rmap_hello(
      magic: UInt32(RMAP_HELLO_MAGIC).littleEndian, version: version, status: status.rawValue,
      frame_bytes: UInt16(clamping: frameBytes).littleEndian,
      receives: UInt32(clamping: receives).littleEndian, reserved: 0)
  }
}
