// SPDX-License-Identifier: Apache-2.0

/// What a post-copy has come to so far, as its service thread last published it.
public struct RemoteMemoryReport: Sendable, Equatable {
  /// How far it is.
  public enum Phase: String, Sendable {
    /// Asking the server for a session, for the first time or again.
    case attaching
    /// Pages are arriving.
    case moving
    /// Every page has arrived; the server is no longer needed.
    case complete
    /// It was stopped, or has failed: what is missing cannot be had any more.
    case ended
  }

  public var phase = Phase.attaching
  /// Slots of the region.
  public var slots: UInt64 = 0
  /// Pages that the server was to move when it last began.
  public var pages: UInt64 = 0
  /// Pages that came because the client asked for them.
  public var fetched: UInt64 = 0
  /// Pages that came unasked.
  public var pushed: UInt64 = 0
  /// Pushed pages that were of no use: they were there, or had been written or freed.
  public var alreadyThere: UInt64 = 0
  /// Faults for which the server was asked: the paper's network faults.
  public var networkFaults: UInt64 = 0
  /// Faults that waited for a page which the server had announced, without asking.
  public var announcedFaults: UInt64 = 0
  /// Faults whose page arrived while the kernel reported them.
  public var lateFaults: UInt64 = 0
  /// Pages that could not be had.
  public var lost: UInt64 = 0
  /// How long threads waited, all faults together.
  public var blocked_ns: UInt64 = 0
  /// How long demand fetches took, from the fault's event to the page in place.
  public var demand_ns_p50: UInt64 = 0
  public var demand_ns_p99: UInt64 = 0
  /// Sessions opened; more than one after a broken link or a restarted server.
  public var sessions: UInt64 = 0
  /// Messages sent again.
  public var retransmissions: UInt64 = 0
  /// From the first session to completion, so far.
  public var elapsed_ns: UInt64 = 0
  /// Smoothed round-trip time.
  public var srtt_ns: UInt64 = 0
  /// CPU time of the service thread.
  public var cpu_us: UInt64 = 0
  /// Why it has ended before it was complete.
  public var failure: String?
  /// The errno value that comes nearest to it, 0 when there is none.
  public var failureCode: Int32 = 0

  public init() {}
}
