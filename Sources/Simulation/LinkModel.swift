// SPDX-License-Identifier: Apache-2.0
import RMAP

/// A full-duplex network between a server and its guests, as far as it matters: each direction is one
/// queue in front of one wire.
public struct LinkModel: Sendable, Equatable {
  /// Of each direction, above 0, overheads included.
  public var rate_bytes_s: UInt64
  /// From the end of a frame on the wire to its receiver, whatever hosts need for it included.
  public var latency_ns: UInt64
  /// Each frame comes up to so much later, still in order.
  public var jitter_ns: UInt64
  /// What a frame takes on the wire besides what it carries: 38 bytes on Ethernet (preamble, header,
  /// checksum, gap), of which `tc` counts the 14 of the header.
  public var overhead_bytes: Int
  /// The most bytes that a frame carries, 1,416 to 9,000.
  public var mtu: Int
  /// What a token bucket holds that keeps the rate, as `tc`'s tbf does: so much passes at once after a pause. 0 for a wire.
  public var burst_bytes: Int
  /// What waits for the wire at most; a frame that finds more is dropped.
  public var queue_bytes: UInt64
  /// The probability that a frame is lost, below 1.
  public var loss: Double

  public init(
    rate_bytes_s: UInt64 = 125_000_000, latency_ns: UInt64 = 30_000, jitter_ns: UInt64 = 0,
    overhead_bytes: Int = 38, burst_bytes: Int = 0, mtu: Int = 9000,
    queue_bytes: UInt64 = 4 << 20, loss: Double = 0
  ) {
    precondition(rate_bytes_s > 0)
    precondition((Wire.minMTU...Wire.maxMTU).contains(mtu))
    precondition(loss >= 0 && loss < 1)
    self.rate_bytes_s = rate_bytes_s
    self.latency_ns = latency_ns
    self.jitter_ns = jitter_ns
    self.overhead_bytes = overhead_bytes
    self.burst_bytes = burst_bytes
    self.mtu = mtu
    self.queue_bytes = queue_bytes
    self.loss = loss
  }

  /// How long bytes take on the wire.
  public func wire_ns(_ bytes: Int) -> UInt64 {
    UInt64(bytes + overhead_bytes) * 1_000_000_000 / rate_bytes_s
  }

  /// How long a full bucket takes to fill.
  var burst_ns: UInt64 { UInt64(burst_bytes) * 1_000_000_000 / rate_bytes_s }
}
