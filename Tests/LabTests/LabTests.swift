// SPDX-License-Identifier: Apache-2.0
import Foundation
import Lab
import Testing

/// What boots machines; one after the other, since each takes all of the processors.
@Suite("Lab", .serialized)
struct LabTests {
  /// Begins nothing after `MEMX_LAB_UNTIL`, in seconds since 1970, where that is set, as by tools/test.
  static let lab = Lab(
    progress: Progress(shown: true),
    until: ProcessInfo.processInfo.environment["MEMX_LAB_UNTIL"].flatMap(Double.init).map {
      .now + .seconds($0 - Date.now.timeIntervalSince1970)
    })

  @Test(
    "Modules build without a complaint of compiler or sparse",
    arguments: ModuleSource.allCases, KernelSeries.allCases)
  func moduleIsClean(module: ModuleSource, series: KernelSeries) async throws {
    let kernel = try await Self.lab.kernel(series)
    let build = ModuleBuild(module, cache: Self.lab.cache, progress: Self.lab.progress)
    #expect(try await build.complaints(for: kernel) == [])
  }

  /// A scenario on one of the kernels.
  struct Play: CustomTestStringConvertible {
    let scenario: Scenario
    let series: KernelSeries
    var testDescription: String { "\(scenario.name) on \(series)" }
  }

  /// What every run has.
  static let always =
    plays(
      on: .v6_12,
      .attach, .badDays, .pullBack, .xenPostCopy, .xenBadDays, .xenExchange, .rdmaPages,
      .rdmaBadDays, .rdmaSwap)
    + plays(on: .v6_1, .xenPostCopy, .rdmaPages, .rdmaSwap)

  /// What may have no time on a slow day, the most telling first.
  static let inTime =
    plays(on: .v6_12, .rdmaSwapBadDays)
    + plays(on: .v6_1, .xenRefusals, .attach, .xenExchange)
    + plays(
      on: .v6_12,
      .xenRDMA, .xenLostSource, .lostMemory, .pullBackLost, .rdmaPullBack, .rdmaReboot,
      .rdmaCrowd)
    + plays(
      on: .v6_1,
      .rdmaReboot, .pressure, .badDays, .pullBack, .lostMemory, .pullBackLost)
    + plays(on: .v6_12, .pressure)

  private static func plays(on series: KernelSeries, _ scenarios: Scenario...) -> [Play] {
    scenarios.map { Play(scenario: $0, series: series) }
  }

  @Test("Guests", .timeLimit(.minutes(40)), arguments: always)
  func scenario(_ play: Play) async throws {
    let report = await play.scenario.run(Self.lab, on: play.series)
    #expect(report.failures == [])
  }

  @Test("Guests, while there is time", .timeLimit(.minutes(40)), arguments: inTime)
  func scenarioInTime(_ play: Play) async throws {
    try Self.needsTime(play)
    try await scenario(play)
  }

  /// Cancels what is not to begin any more; tools/test says again at the end what that was. Swift before 6.3 cannot
  /// cancel a test, and runs all.
  private static func needsTime(_ play: Play) throws {
    #if compiler(>=6.3)
      guard let until = lab.until, until < .now else { return }
      // Swift Testing says nothing of it.
      lab.progress.note("not run: \(play.testDescription): no time is left for it")
      try Test.cancel("no time is left for it")
    #endif
  }
}
