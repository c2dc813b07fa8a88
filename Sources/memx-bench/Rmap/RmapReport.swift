// SPDX-License-Identifier: Apache-2.0
import Histogram
import RMAP

/// What a run of `memx-bench rmap` found.
struct RmapReport {
  private var fields: [(name: String, value: String, unit: String)] = []

  init(
    pattern: AccessPattern, queueDepth: Int, way: String, elapsed_s: Double,
    load: borrowing PageLoad, counters: ClientCounters, used: CPUUse, verified: Bool
  ) {
    let pages = Double(max(1, load.pages))
    func add(_ name: String, _ value: String, _ unit: String) {
      fields.append((name, value, unit))
    }
    let latency = load.latency_ns
    let depth = pattern == .push ? "" : " qd\(queueDepth)"
    add("case", "\"\(pattern.rawValue)\(depth) \(way)\"", "")
    add("elapsed_s", fixed(elapsed_s, 3), "s")
    add("pages", "\(load.pages)", "")
    add("pages_per_s", fixed(Double(load.pages) / elapsed_s, 0), "pages/s")
    if latency.totalCount > 0 {
      for (name, percentile) in [("p50", 50.0), ("p90", 90), ("p99", 99), ("p999", 99.9)] {
        add("\(name)_us", fixed(Double(latency.valueAtPercentile(percentile)) / 1000, 1), "us")
      }
      add("max_us", fixed(Double(latency.maxRecorded) / 1000, 1), "us")
    }
    add("client_cpu_us_per_page", fixed(used.client_us / pages, 2), "us")
    if let server_us = used.server_us {
      add("server_cpu_us_per_page", fixed(server_us / pages, 2), "us")
    }
    add("retransmissions", "\(counters.retransmissions)", "")
    add("late_replies", "\(counters.lateReplies)", "")
    add("bad_checksums", "\(counters.badChecksums)", "")
    add("failures", "\(load.failures)", "")
    if verified { add("wrong_pages", "\(load.wrongPages)", "") }
  }

  /// One JSON object.
  var json: String {
    "{\"schema\":1,\"bench\":\"rmap\","
      + fields.map { "\"\($0.name)\":\($0.value)" }.joined(separator: ",") + "}"
  }

  /// A table for people.
  var text: String {
    let width = fields.map(\.name.count).max()!
    return fields.map { field in
      let padding = String(repeating: " ", count: width - field.name.count + 2)
      let value = field.value.filter { $0 != "\"" }
      return field.name + padding + value + (field.unit.isEmpty ? "" : " " + field.unit)
    }.joined(separator: "\n")
  }
}

/// A number with so many digits behind the point.
func fixed(_ value: Double, _ digits: Int) -> String {
  guard digits > 0 else { return String(Int(value.rounded())) }
  var scale = 1
  for _ in 0..<digits { scale *= 10 }
  let scaled = Int((value * Double(scale)).rounded())
  let fraction = String(abs(scaled % scale))
  return (scaled < 0 ? "-" : "") + "\(abs(scaled / scale))."
    + String(repeating: "0", count: digits - fraction.count) + fraction
}
