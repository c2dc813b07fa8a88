// SPDX-License-Identifier: Apache-2.0
import Console

/// Medians of a strategy's runs at a rate.
struct PostcopyReport {
  let workload: String
  let strategy: String
  /// What the strategy was told; nil when it goes by no order.
  let order: ToldOrder?
  let rate_mb_s: Int
  let mtu: Int
  let stopped: StoppedPrograms
  let runs: [PostcopyFigures]
  /// Of the runs that never moved, nanoseconds.
  let stays_ns: [UInt64]

  private func middle(_ value: (PostcopyFigures) -> Double) -> Double { median(runs.map(value)) }

  private func count(_ value: (PostcopyFigures) -> UInt64) -> Int {
    Int(middle { Double(value($0)) })
  }

  private var touched: Int { stopped.touchedPages }

  private func percent(_ faults: Int) -> Double { 100 * Double(faults) / Double(max(1, touched)) }

  // A page that a program touches comes because it was asked for, was waited for though nobody asked, or was
  // there.
  private static func minorFaults(_ run: PostcopyFigures, touched: Int) -> Double {
    Double(touched) - Double(run.report.networkFaults) - Double(run.report.announcedFaults)
  }

  // What was fetched was touched, so the other pages that were touched were pushed.
  private static func neverUsed(_ run: PostcopyFigures, touched: Int) -> Double {
    Double(run.report.pushed) - (Double(touched) - Double(run.report.fetched))
  }

  private static func ms(_ ns: UInt64) -> Double { Double(ns) / 1e6 }

  private var networkFaults: Int { count(\.report.networkFaults) }
  private var announcedFaults: Int { count(\.report.announcedFaults) }
  private var minorFaults: Int { Int(middle { Self.minorFaults($0, touched: touched) }) }
  private var stay_ms: Double { median(stays_ns.map(Self.ms)) }
  private var run_ms: Double { middle { Self.ms($0.run_ns) } }
  private var degradation_percent: Double { 100 * (run_ms - stay_ms) / stay_ms }
  private var downtime_ms: Double { middle { Self.ms($0.downtime_ns) } }
  private var preparation_ms: Double { Self.ms(stopped.preparation_ns) }
  private var blocked_ms: Double { middle { Self.ms($0.report.blocked_ns) } }
  private var demand_us_p50: Double { middle { Double($0.report.demand_ns_p50) / 1000 } }
  private var demand_us_p99: Double { middle { Double($0.report.demand_ns_p99) / 1000 } }

  /// nil when not every run moved all pages.
  private var resume_ms: Double? {
    let all = runs.compactMap { $0.resume_ns.map(Self.ms) }
    return all.count == runs.count ? median(all) : nil
  }

  private var total_ms: Double? { resume_ms.map { preparation_ms + downtime_ms + $0 } }

  var json: String {
    var object = JSONLine()
    object.add("bench", "prepaging")
    object.add("strategy", strategy)
    if let order { object.add("order", order.rawValue) }
    object.add("workload", workload)
    object.add("rate_mb_s", rate_mb_s)
    object.add("mtu", mtu)
    object.add("processes", stopped.states.count)
    object.add("pages", stopped.regionPages)
    object.add("runs", runs.count)
    object.add("touched_pages", touched)
    object.add("network_faults", networkFaults)
    object.add("announced_faults", announcedFaults)
    object.add("minor_faults", minorFaults)
    object.add("network_fault_pct", percent(networkFaults), places: 3)
    object.add("announced_fault_pct", percent(announcedFaults), places: 3)
    object.add("minor_fault_pct", percent(minorFaults), places: 3)
    object.add("late_faults", count(\.report.lateFaults))
    object.add("blocked_ms", blocked_ms, places: 2)
    object.add("demand_p50_us", demand_us_p50, places: 1)
    object.add("demand_p99_us", demand_us_p99, places: 1)
    object.add("preparation_ms", preparation_ms, places: 2)
    object.add("downtime_ms", downtime_ms, places: 2)
    object.add(optional: "resume_ms", resume_ms)
    object.add(optional: "total_ms", total_ms)
    object.add("run_ms", run_ms, places: 2)
    object.add("reference_ms", stay_ms, places: 2)
    object.add("degradation_pct", degradation_percent, places: 2)
    object.add("pages_transferred", count { $0.report.pushed + $0.report.fetched })
    object.add("pushed", count(\.report.pushed))
    object.add("fetched", count(\.report.fetched))
    object.add("already_there", count(\.report.alreadyThere))
    object.add("never_used", Int(middle { Self.neverUsed($0, touched: touched) }))
    object.add("retransmissions", count(\.report.retransmissions))
    object.add("sessions", count(\.report.sessions))
    object.add("server_cpu_ms", middle { $0.server_us / 1000 }, places: 1)
    object.add("client_cpu_ms", middle { Double($0.report.cpu_us) / 1000 }, places: 1)
    object.add("verified", true)
    return object.line
  }

  /// The columns of ``row``.
  static var columns: Columns {
    Columns([
      ("strategy", .left), ("MB/s", .right), ("network faults", .right), ("%", .right),
      ("announced", .right), ("minor", .right), ("blocked ms", .right), ("p50 us", .right),
      ("p99 us", .right), ("downtime ms", .right), ("resume ms", .right), ("total ms", .right),
      ("degradation %", .right), ("pages", .right), ("fetched", .right), ("unused", .right),
    ])
  }

  /// The figures for people.
  var row: [String] {
    let times = [resume_ms, total_ms].map { $0.map { decimal($0, places: 1) } ?? "-" }
    return [
      strategy, rate_mb_s == 0 ? "-" : "\(rate_mb_s)", "\(networkFaults)",
      decimal(percent(networkFaults), places: 2), "\(announcedFaults)", "\(minorFaults)",
      decimal(blocked_ms, places: 1), decimal(demand_us_p50, places: 0),
      decimal(demand_us_p99, places: 0), decimal(downtime_ms, places: 1), times[0], times[1],
      decimal(degradation_percent, places: 1), "\(count { $0.report.pushed + $0.report.fetched })",
      "\(count(\.report.fetched))", "\(Int(middle { Self.neverUsed($0, touched: touched) }))",
    ]
  }
}

extension JSONLine {
  fileprivate mutating func add(optional key: String, _ value: Double?) {
    if let value { add(key, value, places: 2) } else { addNull(key) }
  }
}
