// SPDX-License-Identifier: Apache-2.0
import Console

/// What a device did between two samples, a second; how `iostat` and `vmstat` show it.
public struct Rates: Sendable {
  private let device: DeviceName
  // In the order of `rateNames`.
  private let perSecond: [Double]
  private let outstanding: UInt64?
  private let latencyUs: [UInt64?]
  private let intervalS: Double
  private let ofInterval: Bool

  private static let rateNames = ["reads", "writes", "discards", "retransmits", "errors"]
  private static let latencyNames = [
    "read_latency_us_p50", "read_latency_us_p99", "write_latency_us_p50", "write_latency_us_p99",
  ]
  private static let titles = [
    "DEVICE", "reads/s", "writes/s", "discards/s", "retrans/s", "errors/s", "in-flight", "r_p50_us",
    "r_p99_us", "w_p50_us", "w_p99_us",
  ]

  /// What `device` did from `earlier` to `later`; nil when time stood still or a counter went
  /// back, which means that the device was attached anew.
  ///
  /// Percentiles are those of the interval where debugfs shows the histogram, otherwise those
  /// since the device was attached.
  public init?(_ device: DeviceName, from earlier: Sample, to later: Sample) {
    guard later.timeNs > earlier.timeNs else { return nil }
    let intervalS = Double(later.timeNs - earlier.timeNs) / 1e9
    var perSecond: [Double] = []
    for name in Self.rateNames {
      let before = earlier.counters[name] ?? 0
      let after = later.counters[name] ?? 0
      guard after >= before else { return nil }
      perSecond.append(Double(after - before) / intervalS)
    }
    self.device = device
    self.perSecond = perSecond
    self.intervalS = intervalS
    outstanding = later.counters["outstanding"]
    if let before = earlier.latency, let after = later.latency {
      let interval = after.since(before)
      latencyUs = [
        interval.percentileUs(50, .read), interval.percentileUs(99, .read),
        interval.percentileUs(50, .write), interval.percentileUs(99, .write),
      ]
      ofInterval = true
    } else {
      latencyUs = Self.latencyNames.map { later.counters[$0] }
      ofInterval = false
    }
  }

  /// The line of titles.
  public static var header: String { pad(titles) }

  /// One line below ``header``.
  public var line: String {
    Self.pad(
      [device.description] + perSecond.map { decimal($0, places: 0) }
        + ([outstanding] + latencyUs).map { $0.map(String.init) ?? "-" })
  }

  /// The object for scripts.
  public var json: JSONLine {
    var json = JSONLine()
    json.add("device", device.description)
    json.add("interval_s", intervalS, places: 3)
    for (name, rate) in zip(Self.rateNames, perSecond) {
      json.add(name + "_per_s", rate, places: 1)
    }
    if let outstanding { json.add("outstanding", outstanding) } else { json.addNull("outstanding") }
    for (name, value) in zip(Self.latencyNames, latencyUs) {
      if let value { json.add(name, value) } else { json.addNull(name) }
    }
    json.add("latency_of", ofInterval ? "interval" : "attachment")
    return json
  }

  // Lines come one a second, so widths are fixed beforehand: each title's own, at least 8.
  private static func pad(_ entries: [String]) -> String {
    zip(entries, titles).enumerated().map { index, pair in
      let (entry, title) = pair
      let blanks = String(
        repeating: " ", count: max(0, max(title.count, 8) - entry.count))
      return index == 0 ? entry + blanks : blanks + entry
    }.joined(separator: "  ")
  }
}
