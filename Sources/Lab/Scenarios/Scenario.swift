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
  /// Whether guests need memx.ko.
  let usesModule: Bool
  let body: @Sendable (Bed, Findings) async throws -> Void

  init(
    _ name: String, _ summary: String, series: KernelSeries = .v6_12, usesModule: Bool = true,
    body: @escaping @Sendable (Bed, Findings) async throws -> Void
  ) {
    self.name = name
    self.summary = summary
    self.series = series
    self.usesModule = usesModule
    self.body = body
  }

  /// All scenarios.
  public static let all: [Scenario] = [
    .remoteSwap, .attach, .badDays, .lostMemory, .pressure, .pullBack, .pullBackLost, .boot,
    .remoteSwapNBD,
  ]

  /// Runs it.
  ///
  /// - Parameters:
  ///   - lab: makes what is needed.
  ///   - series: the kernel of the guests.
  ///   - logs: where to keep the logs; kept only after a failure when nil.
  /// - Returns: what was found; it does not throw for what the scenario itself finds wrong.
  public func run(_ lab: Lab, on series: KernelSeries? = nil, logs: FilePath? = nil) async -> Report
  {
    let series = series ?? self.series
    let findings = Findings(progress: lab.progress)
    let start = ContinuousClock.now
    do {
      try await Bed.with(lab, series, withModule: usesModule, logs: logs) { bed in
        await findings.set("kernel", .text(bed.parts.kernel.release))
        await findings.set("accelerator", .text(bed.parts.accelerator.rawValue))
        try await body(bed, findings)
        let failures = await findings.failures
        if !failures.isEmpty { throw LabError(failures.joined(separator: "\n")) }
      }
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
