// SPDX-License-Identifier: Apache-2.0
import Console

/// The counters of one device at one moment.
public struct Sample: Sendable {
  /// When, on the monotonic clock, in nanoseconds.
  public var timeNs: UInt64
  /// The counters by the names that sysfs gives them.
  public var counters: [String: UInt64]
  /// How long requests took since the device was attached; nil without debugfs.
  public var latency: LatencyTable?

  /// A sample of given values.
  public init(timeNs: UInt64, counters: [String: UInt64], latency: LatencyTable? = nil) {
    self.timeNs = timeNs
    self.counters = counters
    self.latency = latency
  }

  /// The names of the counters, in the order in which they are printed.
  public static let names = [
    "reads", "writes", "discards", "flushes", "discarded_pages", "zero_pages", "outstanding",
    "errors", "timeouts", "retransmits", "late_replies", "bad_checksum", "bad_frames",
    "reconnects", "lost_pages", "credit_waits", "tx_frames", "rx_frames", "rx_pfmemalloc",
    "tx_nomem", "read_latency_us_p50", "read_latency_us_p99", "write_latency_us_p50",
    "write_latency_us_p99", "server_stored_pages", "server_quota_pages",
  ]

  /// What sysfs and debugfs say of `device` now.
  ///
  /// - Throws: ``Failure`` with ``Exit/notThere`` when it is not attached.
  public static func take(_ device: DeviceName, _ files: KernelFiles) throws(Failure) -> Sample {
    try files.requireAttached(device)
    var counters: [String: UInt64] = [:]
    for name in names { counters[name] = files.number("stats/\(name)", of: device) }
    return Sample(
      timeNs: monotonicNs(), counters: counters,
      latency: files.text("\(files.debugfs)/memx/\(device)/latency").map(
        LatencyTable.init(parsing:)))
  }

  /// The totals for people: one counter a line, one device a column.
  public static func table(_ devices: [(DeviceName, Sample)]) -> [String] {
    var table = Columns([("COUNTER", .left)] + devices.map { ($0.0.description, .right) })
    for name in names {
      table.add([name] + devices.map { $0.1.counters[name].map(String.init) ?? "-" })
    }
    return table.lines
  }

  /// The totals for scripts; what the kernel does not show is null.
  public func json(_ device: DeviceName) -> JSONLine {
    var json = JSONLine()
    json.add("device", device.description)
    for name in Self.names {
      if let value = counters[name] { json.add(name, value) } else { json.addNull(name) }
    }
    return json
  }
}
