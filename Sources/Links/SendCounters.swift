// SPDX-License-Identifier: Apache-2.0

/// What a link has sent, and what could not be.
public struct SendCounters: Sendable, Equatable {
  public var frames: UInt64 = 0
  public var bytes: UInt64 = 0
  /// Frames of these that were written to buffers of the client's: pushes.
  public var written: UInt64 = 0
  /// How often frames were handed over to the system or the device, several at a time.
  public var calls: UInt64 = 0
  /// Frames dropped: over Ethernet because the socket's buffer stayed full or the link was down, over RDMA
  /// because their connection had ended or did not take them.
  public var dropped: UInt64 = 0
  public init() {}

  public static func + (left: SendCounters, right: SendCounters) -> SendCounters {
    var sum = left
    sum.frames += right.frames
    sum.bytes += right.bytes
    sum.written += right.written
    sum.calls += right.calls
    sum.dropped += right.dropped
    return sum
  }
}
