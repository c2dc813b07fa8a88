// SPDX-License-Identifier: Apache-2.0
import Console
import Simulation

/// What a strategy came to at a rate. Fields have the names of `memx-bench postcopy`'s.
struct SimulateReport {
  let strategy: String
  /// What the strategy was told; nil when it goes by no order.
  let order: ToldOrder?
  let workload: String
  let rate_mb_s: Int
  let guests: Int
  /// Of each guest.
  let slots: Int
  let found: Simulation.Report
  let undisturbed_ns: UInt64?
  let wall_ms: Double

  private static func ms(_ ns: UInt64) -> Double { Double(ns) / 1e6 }

  private var degradation_pct: Double? {
    guard let run_ns = found.all.program_ns, let undisturbed_ns, undisturbed_ns > 0 else {
      return nil
    }
    return 100 * (Double(run_ns) / Double(undisturbed_ns) - 1)
  }

  /// What went wrong, nil when nothing did.
  var failure: String? { found.failures.first }

  var json: String {
    let all = found.all
    var line = JSONLine()
    line.add("bench", "simulate")
    line.add("strategy", strategy)
    if let order { line.add("order", order.rawValue) }
    line.add("workload", workload)
    line.add("rate_mb_s", rate_mb_s)
    line.add("guests", guests)
    line.add("pages", slots * guests)
    line.add("touched_pages", all.touched)
    line.add("network_faults", all.networkFaults)
    line.add("announced_faults", all.announcedFaults)
    line.add("minor_faults", all.minorFaults)
    line.add("network_fault_pct", all.networkFault_pct, places: 3)
    line.add("blocked_ms", Self.ms(all.blocked_ns), places: 2)
    line.add("demand_p50_us", all.demand_us(percent: 50))
    line.add("demand_p99_us", all.demand_us(percent: 99))
    add("total_ms", all.transfer_ns.map(Self.ms), &line)
    add("run_ms", all.program_ns.map(Self.ms), &line)
    add("degradation_pct", degradation_pct, &line)
    line.add("pushed", all.pushed)
    line.add("fetched", all.fetched)
    line.add("resent", found.resent)
    line.add("lost_frames", found.lostFrames)
    line.add("simulated_ms", Self.ms(found.elapsed_ns), places: 2)
    line.add("events", found.events)
    line.add("wall_ms", wall_ms, places: 1)
    return line.line
  }

  private func add(_ key: String, _ value: Double?, _ line: inout JSONLine) {
    if let value { line.add(key, value, places: 2) } else { line.addNull(key) }
  }

  /// The columns of ``row``.
  static var columns: Columns {
    Columns([
      ("strategy", .left), ("MB/s", .right), ("network faults", .right), ("%", .right),
      ("announced", .right), ("minor", .right), ("blocked ms", .right), ("p50 us", .right),
      ("p99 us", .right), ("total ms", .right), ("degradation %", .right), ("resent", .right),
      ("simulated s", .right), ("wall s", .right),
    ])
  }

  /// The figures for people; what the limit cut off is a dash.
  var row: [String] {
    let all = found.all
    return [
      strategy, "\(rate_mb_s)", "\(all.networkFaults)", decimal(all.networkFault_pct, places: 2),
      "\(all.announcedFaults)", "\(all.minorFaults)", decimal(Self.ms(all.blocked_ns), places: 1),
      "\(all.demand_us(percent: 50))", "\(all.demand_us(percent: 99))",
      all.transfer_ns.map { decimal(Self.ms($0), places: 1) } ?? "-",
      degradation_pct.map { decimal($0, places: 1) } ?? "-", "\(found.resent)",
      decimal(Double(found.elapsed_ns) / 1e9, places: 3), decimal(wall_ms / 1000, places: 3),
    ]
  }
}
