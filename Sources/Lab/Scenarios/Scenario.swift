// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// Something that machines are put through.
public struct Scenario: Sendable {
  /// What `memx-lab run` takes.
  public let name: String
  /// One line on what it shows.
  public let summary: String
  /// The kernel it runs on when none is asked for.
  public let series: KernelSeries
  private let body: @Sendable (Stage) async throws -> Void

  /// Where a scenario is played.
  private struct Stage: Sendable {
    let lab: Lab
    let series: KernelSeries
    let logs: FilePath?
    let findings: Findings
  }

  /// A scenario with guests of QEMU's.
  ///
  /// - Parameters:
  ///   - usesModule: whether guests need memx.ko.
  ///   - usesRDMA: whether they need RDMA devices.
  init(
    _ name: String, _ summary: String, series: KernelSeries = .v6_12, usesModule: Bool = true,
    usesRDMA: Bool = false,
    body: @escaping @Sendable (Bed, Findings) async throws -> Void
  ) {
    self.name = name
    self.summary = summary
    self.series = series
    self.body = { stage in
      try await Bed.with(
        stage.lab, stage.series, withModule: usesModule, withRDMA: usesRDMA, logs: stage.logs
      ) { bed in
        await stage.findings.set("kernel", .text(bed.parts.kernel.release))
        await stage.findings.set("accelerator", .text(bed.parts.accelerator.rawValue))
        try await body(bed, stage.findings)
        try await stage.findings.throwFailures()
      }
    }
  }

  /// A scenario with Xen hosts.
  init(
    xen name: String, _ summary: String, series: KernelSeries = .v6_1,
    body: @escaping @Sendable (XenBed, Findings) async throws -> Void
  ) {
    self.name = name
    self.summary = summary
    self.series = series
    self.body = { stage in
      try await XenBed.with(stage.lab, stage.series, logs: stage.logs) { bed in
        await stage.findings.set("kernel", .text(bed.parts.guestKernel.release))
        await stage.findings.set("accelerator", .text(bed.parts.accelerator.rawValue))
        try await body(bed, stage.findings)
        try await stage.findings.throwFailures()
      }
    }
  }

  /// All scenarios.
  public static let all: [Scenario] = [
    .postCopy, .remoteSwap, .attach, .badDays, .lostMemory, .pressure, .pullBack, .pullBackLost,
    .boot, .remoteSwapNBD, .xenBoot, .xenStopAndCopy, .xenPostCopy, .xenRDMA, .xenRefusals,
    .xenBadDays, .xenLostSource, .xenExchange, .rdmaPages, .rdmaSwap, .rdmaSwapBadDays,
    .rdmaBadDays, .rdmaCrowd, .rdmaPullBack, .rdmaReboot,
  ]

  /// Runs it; again when the emulator is at fault (``EmulatorFault``), which the report counts.
  ///
  /// - Parameters:
  ///   - lab: makes what is needed.
  ///   - series: the kernel of the guests.
  ///   - logs: where to keep the logs; kept only after a failure when nil.
  /// - Returns: what was found; it does not throw for what the scenario itself finds wrong.
  public func run(_ lab: Lab, on series: KernelSeries? = nil, logs: FilePath? = nil) async -> Report
  {
    let (report, faults) = await EmulatorFault.overcoming(lab.progress, failures: \.failures) {
      await runOnce(lab, on: series ?? self.series, logs: logs)
    }
    let counted: [(name: String, value: Report.Value)] =
      faults > 0 ? [("emulator_faults", .count(faults))] : []
    return Report(scenario: name, failures: report.failures, values: report.values + counted)
  }

  private func runOnce(_ lab: Lab, on series: KernelSeries, logs: FilePath?) async -> Report {
    let findings = Findings(progress: lab.progress)
    let start = ContinuousClock.now
    do {
      try await body(Stage(lab: lab, series: series, logs: logs, findings: findings))
    } catch {
      await findings.fail("\(error)")
    }
    let elapsed = (ContinuousClock.now - start).components
    await findings.set(
      "time_s", .number(Double(elapsed.seconds) + Double(elapsed.attoseconds) / 1e18))
    return Report(
      scenario: name, failures: await findings.failures, values: await findings.values)
  }
}
