// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// Swap on memx, nbd, AoE and zram, compared in one guest with the same memory and workloads.
public struct SwapBenchmark: Sendable {
  /// The workloads of `memx-bench swap`.
  public static let workloads = ["quicksort", "seqread", "seqwrite", "stride", "hash"]

  /// What is run; a subset of ``workloads``.
  public var workloads = SwapBenchmark.workloads
  /// How often each workload runs on each system; the median counts.
  public var runs = 3
  /// The guest's memory, in MiB.
  public var memory_mib = 160
  /// What the workloads take, in MiB.
  public var data_mib = 224
  /// Whether the data, the same for all systems, is such as compresses: without that zram has no room.
  public var compressible = true
  /// What is compared; a subset of all.
  public var systems = SwapSystem.allCases

  public init() {}

  /// The median over the runs of one workload on one system.
  public struct Line: Sendable {
    public let workload: String
    public let system: SwapSystem
    /// The figures, or how a peer failed: zram, for one, has no room for data that does not compress.
    public let result: Result<Figures, LabError>

    /// What was measured.
    public struct Figures: Sendable {
      public let time_s: Double
      public let fault_p50_us: Double
      public let fault_p99_us: Double
    }

    /// One JSON object on one line.
    public var json: String {
      let values: [(String, Report.Value)] =
        switch result {
        case .success(let figures):
          [
            ("time_s", .number(figures.time_s)), ("fault_p50_us", .number(figures.fault_p50_us)),
            ("fault_p99_us", .number(figures.fault_p99_us)),
          ]
        case .failure(let error): [("failed", .text("\(error)"))]
        }
      return Report(
        scenario: "swap", failures: [],
        values: [("case", .text(workload)), ("system", .text(system.rawValue))] + values
      ).json(kind: "bench")
    }

    /// A sentence for people.
    public var text: String {
      switch result {
      case .success(let figures):
        "\(workload) on \(system.rawValue): \(figures.time_s) s, faults p50"
          + " \(figures.fault_p50_us) µs, p99 \(figures.fault_p99_us) µs"
      case .failure(let error): "\(workload) on \(system.rawValue) failed: \(error)"
      }
    }
  }

  /// Runs it: each round attaches one system after the other, so that what else the machine does
  /// falls on all of them alike.
  ///
  /// - Parameter eachRun: told of each run as it ends.
  /// - Throws: ``LabError`` when a system cannot be attached, or a workload fails on memx.
  public func run(
    _ lab: Lab, on series: KernelSeries, logs: FilePath? = nil,
    eachRun: @Sendable (Line) -> Void
  ) async throws -> [Line] {
    try await Bed.with(lab, series, logs: logs) { bed in
      try await bed.withGuest(
        Machine(memory_mib: memory_mib), tolerated: ["Out of memory", "page allocation failure"]
      ) { guest in
        var measured: [String: [Workload.Measured]] = [:]
        var failed: [String: LabError] = [:]
        for round in 1...runs {
          for system in systems {
            let swap = try await system.attach(to: guest, on: bed, size_mib: 2 * data_mib)
            for workload in workloads {
              bed.progress.note("round \(round) of \(runs): \(workload) on \(system.rawValue)")
              let outcome = try await guest.outcome(
                Workload.bench(
                  workload, size_mib: data_mib, processes: 2, compressible: compressible),
                in: .work,
                timeout: .seconds(900))
              let key = "\(workload) \(system)"
              do {
                let run = try Workload.measured(outcome)
                measured[key, default: []].append(run)
                eachRun(line(workload, system, [run], nil))
              } catch let error as LabError where system != .memx {
                failed[key] = error
                eachRun(line(workload, system, [], error))
              }
            }
            try await swap.detach()
          }
        }
        return workloads.flatMap { workload in
          systems.map { system in
            let key = "\(workload) \(system)"
            return line(workload, system, measured[key] ?? [], failed[key])
          }
        }
      }
    }
  }

  private func line(
    _ workload: String, _ system: SwapSystem, _ runs: [Workload.Measured], _ error: LabError?
  ) -> Line {
    if let error { return Line(workload: workload, system: system, result: .failure(error)) }
    let figures = Line.Figures(
      time_s: Self.median(runs.map(\.time_s)),
      fault_p50_us: Self.median(runs.map(\.fault_p50_us)),
      fault_p99_us: Self.median(runs.map(\.fault_p99_us)))
    return Line(workload: workload, system: system, result: .success(figures))
  }

  static func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  }
}
