// SPDX-License-Identifier: Apache-2.0

/// What a server's sessions have counted since it started. One writer: the link's engine.
public struct ServerCounters: Sendable, Equatable {
  public var reads: UInt64 = 0
  public var writes: UInt64 = 0
  /// Pages of zeros among the reads, which travel without payload.
  public var zeroReads: UInt64 = 0
  public var discardRequests: UInt64 = 0
  public var discardedSlots: UInt64 = 0
  public var flushes: UInt64 = 0
  public var keepAlives: UInt64 = 0
  public var attaches: UInt64 = 0
  public var attachesRefused: UInt64 = 0
  public var detaches: UInt64 = 0
  public var sessionsExpired: UInt64 = 0
  public var sessionsDisconnected: UInt64 = 0
  /// Requests that came again: answered again, not carried out again.
  public var repeatedRequests: UInt64 = 0
  /// Late duplicates of requests that their client has done with: dropped.
  public var staleRequests: UInt64 = 0
  public var truncatedFrames: UInt64 = 0
  public var badChecksums: UInt64 = 0
  public var badVersions: UInt64 = 0
  public var badOpcodes: UInt64 = 0
  public var badMessages: UInt64 = 0
  public var badSessions: UInt64 = 0
  public var outOfRange: UInt64 = 0
  public var noSpace: UInt64 = 0
  public var lostReads: UInt64 = 0
  /// Reads of pages that the store could not get at.
  public var ioErrors: UInt64 = 0
  /// Replies to errors and refusals of an attach that the rate limit held back.
  public var errorsSuppressed: UInt64 = 0

  /// Post-copies begun.
  public var postcopies: UInt64 = 0
  /// Pages pushed, and known to have arrived.
  public var pagesPushed: UInt64 = 0
  /// Pages sent in a post-copy because the client asked: network faults.
  public var pagesFetched: UInt64 = 0
  /// Pages asked for while a push of them was on its way: not sent a second time.
  public var fetchesOverlapped: UInt64 = 0
  /// Pushes sent again.
  public var pushesRepeated: UInt64 = 0
  /// Pushed pages that the client had no use for.
  public var pushesUnwanted: UInt64 = 0

  public init() {}
}
