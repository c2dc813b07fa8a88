// SPDX-License-Identifier: Apache-2.0

/// What a client's session has counted since it was made.
public struct ClientCounters: Sendable, Equatable {
  public var completed: UInt64 = 0
  public var failed: UInt64 = 0
  /// Messages sent again, because their timeout was over.
  public var timeouts: UInt64 = 0
  /// Messages sent again before that, because later ones had been answered.
  public var overtaken: UInt64 = 0
  /// Replies to requests that were done with already.
  public var lateReplies: UInt64 = 0
  public var badChecksums: UInt64 = 0
  public var badFrames: UInt64 = 0
  public var attaches: UInt64 = 0
  public var keepAlives: UInt64 = 0
  /// Pages that came unasked.
  public var pushes: UInt64 = 0

  public init() {}

  public var retransmissions: UInt64 { timeouts + overtaken }
}
