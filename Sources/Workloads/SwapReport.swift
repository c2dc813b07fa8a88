// SPDX-License-Identifier: Apache-2.0
import Console

/// The result of a run of `memx-bench swap`.
public struct SwapReport: Sendable {
  /// What ran, by one process; its pages are those of all processes together.
  public var task: WorkerTask
  /// How many processes ran it.
  public var processes: Int
  /// From the start of the work in all processes to the end of the last, in nanoseconds.
  public var timeNs: UInt64
  /// What each process found.
  public var outcomes: [WorkerOutcome]
  /// Pages that the whole machine swapped in and out meanwhile.
  public var pagesIn: UInt64, pagesOut: UInt64

  /// A report of the given values.
  public init(
    task: WorkerTask, processes: Int, timeNs: UInt64, outcomes: [WorkerOutcome],
    pagesIn: UInt64, pagesOut: UInt64
  ) {
    self.task = task
    self.processes = processes
    self.timeNs = timeNs
    self.outcomes = outcomes
    self.pagesIn = pagesIn
    self.pagesOut = pagesOut
  }

  private var latency: FaultLatency {
    outcomes.reduce(into: FaultLatency()) { $0.add($1.latency) }
  }
  private var majorFaults: Int { outcomes.reduce(0) { $0 + $1.majorFaults } }
  private var minorFaults: Int { outcomes.reduce(0) { $0 + $1.minorFaults } }
  private var touches: UInt64 { outcomes.reduce(0) { $0 + $1.touches } }
  private func longestS(_ phase: KeyPath<WorkerOutcome, UInt64>) -> Double {
    Double(outcomes.map { $0[keyPath: phase] }.max() ?? 0) / 1e9
  }

  /// One object for scripts; latencies are null when no page had to be read back.
  public var json: JSONLine {
    let latency = latency
    var json = JSONLine()
    json.add("bench", "swap")
    json.add("case", task.kind.rawValue)
    json.add("size_bytes", task.pages * pageBytes)
    json.add("processes", processes)
    json.add("passes", task.passes)
    json.add("seed", task.seed)
    json.add("compressible", task.compressible)
    json.add("time_s", Double(timeNs) / 1e9, places: 3)
    json.add("fill_s", longestS(\.fillNs), places: 3)
    json.add("work_s", longestS(\.workNs), places: 3)
    json.add("verify_s", longestS(\.verifyNs), places: 3)
    json.add("pages", task.pages)
    json.add("page_touches", touches)
    json.add("major_faults", majorFaults)
    json.add("minor_faults", minorFaults)
    json.add("swap_in_pages", pagesIn)
    json.add("swap_out_pages", pagesOut)
    json.add("faults_timed", latency.count)
    for (name, percent) in [("p50", 50.0), ("p90", 90), ("p99", 99)] {
      json.add("fault_\(name)_us", latency.percentileUs(percent) ?? .nan, places: 1)
    }
    json.add("fault_max_us", latency.longestUs ?? .nan, places: 1)
    json.add("verified", true)
    return json
  }

  /// The lines for people.
  public var lines: [String] {
    let latency = latency
    func us(_ value: Double?) -> String { value.map { decimal($0, places: 1) + " us" } ?? "-" }
    var lines = [
      "\(task.kind.rawValue)  \(ByteSize(bytes: UInt64(task.pages * pageBytes))), "
        + "\(processes) \(processes == 1 ? "process" : "processes"), "
        + "\(task.passes) \(task.passes == 1 ? "pass" : "passes"), seed \(task.seed)"
        + "\(task.compressible ? ", compressible" : ""): verified",
      "  time           \(decimal(Double(timeNs) / 1e9, places: 2)) s  "
        + "(fill \(decimal(longestS(\.fillNs), places: 2)), "
        + "work \(decimal(longestS(\.workNs), places: 2)), "
        + "verify \(decimal(longestS(\.verifyNs), places: 2)))",
      "  pages          \(task.pages), touched \(touches) times",
      "  faults         \(majorFaults) major, \(minorFaults) minor",
      "  swap           \(pagesIn) pages in, \(pagesOut) pages out (whole machine)",
    ]
    if latency.count > 0 {
      lines.append(
        "  fault latency  p50 \(us(latency.percentileUs(50))), p90 "
          + "\(us(latency.percentileUs(90))), p99 \(us(latency.percentileUs(99))), max "
          + "\(us(latency.longestUs))  (\(latency.count) major faults timed)")
    } else {
      lines.append("  fault latency  -  (no page had to be read back from swap)")
    }
    return lines
  }
}
