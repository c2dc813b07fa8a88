// SPDX-License-Identifier: Apache-2.0
import CRMAP

/// What a post-copy came to for a guest, or for several together.
public struct GuestReport: Sendable, Equatable {
  /// Faults for which the server was asked.
  public var networkFaults: UInt64 = 0
  /// Faults that waited for an announced page without asking.
  public var announcedFaults: UInt64 = 0
  /// First touches that found their page there.
  public var minorFaults: UInt64 = 0
  /// Pages that came unasked.
  public var pushed: UInt64 = 0
  /// Pages that came because they were asked for.
  public var fetched: UInt64 = 0
  /// Pages that came though they were there.
  public var alreadyThere: UInt64 = 0
  /// How long faults waited, all together.
  public var blocked_ns: UInt64 = 0
  /// From the beginning of the post-copy until the programs were done; of several guests the longest. nil when
  /// one was not.
  public var program_ns: UInt64? = 0
  /// Until every page had come, likewise.
  public var transfer_ns: UInt64? = 0
  /// How long demand fetches took: a histogram of `kmod/core`, in microseconds.
  var demand_us = [UInt64](repeating: 0, count: Int(MEMX_HISTOGRAM_BUCKETS))

  /// Different pages that programs touched.
  public var touched: UInt64 { networkFaults + announcedFaults + minorFaults }

  /// The part of touched pages that had to be asked for, per cent.
  public var networkFault_pct: Double {
    touched == 0 ? 0 : 100 * Double(networkFaults) / Double(touched)
  }

  /// The percentile of demand fetches, microseconds, at most 1/32 too much.
  public func demand_us(percent: UInt32) -> UInt64 { memx_histogram_percentile(demand_us, percent) }

  mutating func add(_ other: GuestReport) {
    networkFaults += other.networkFaults
    announcedFaults += other.announcedFaults
    minorFaults += other.minorFaults
    pushed += other.pushed
    fetched += other.fetched
    alreadyThere += other.alreadyThere
    blocked_ns += other.blocked_ns
    program_ns = Self.longer(program_ns, other.program_ns)
    transfer_ns = Self.longer(transfer_ns, other.transfer_ns)
    for index in demand_us.indices { demand_us[index] += other.demand_us[index] }
  }

  private static func longer(_ a: UInt64?, _ b: UInt64?) -> UInt64? {
    guard let a, let b else { return nil }
    return max(a, b)
  }
}
