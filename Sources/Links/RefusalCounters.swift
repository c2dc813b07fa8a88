// SPDX-License-Identifier: Apache-2.0

/// What a link over RDMA would not take.
public struct RefusalCounters: Sendable, Equatable {
  /// Frames that came with an error, over a connection that had ended, or by a write that nobody had asked for.
  public var frames: UInt64 = 0
  /// Connections: too many, or of another version.
  public var connections: UInt64 = 0
  public init() {}

  public static func + (left: RefusalCounters, right: RefusalCounters) -> RefusalCounters {
    var sum = left
    sum.frames += right.frames
    sum.connections += right.connections
    return sum
  }
}
