// SPDX-License-Identifier: Apache-2.0

/// What one process found.
public struct WorkerOutcome: Sendable {
  /// Time to fill the memory, to do the work, and to verify the result at the end, in nanoseconds.
  public var fillNs: UInt64 = 0, workNs: UInt64 = 0, verifyNs: UInt64 = 0
  /// Touches of pages that were timed.
  public var touches: UInt64 = 0
  /// Those of them that were major faults.
  public var latency = FaultLatency()
  /// Faults of the process as the kernel counts them, from its start; known once it has ended.
  public var majorFaults = 0, minorFaults = 0

  /// Nothing yet.
  public init() {}
}
