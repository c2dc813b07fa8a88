// SPDX-License-Identifier: Apache-2.0

/// A client's buffers for pushes as a server over RDMA may write them: PROTOCOL.md section 10.
///
/// There are `Wire.pushWindow`, one behind the other, and push n belongs into buffer n modulo that. Since at most so many are
/// on their way, whoever uses a push's number knows that its buffer has been read.
public struct PushBuffers: Sendable, Equatable {
  /// Where the first one is; not 0.
  public var address: UInt64
  /// The remote key.
  public var key: UInt32

  public init(address: UInt64, key: UInt32) {
    self.address = address
    self.key = key
  }

  /// Which buffer a push belongs into.
  @inlinable
  public static func index(of number: UInt32) -> Int { Int(number % UInt32(Wire.pushWindow)) }

  /// Where a push belongs.
  @inlinable
  public func address(of number: UInt32) -> UInt64 {
    address &+ UInt64(Self.index(of: number) * Wire.pushBufferBytes)
  }
}
