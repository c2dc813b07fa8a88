// SPDX-License-Identifier: Apache-2.0
import Lab
import Testing

/// What boots machines; one after the other, since each takes all of the processors.
@Suite("Lab", .serialized)
struct LabTests {
  static let lab = Lab(progress: Progress(shown: true))

  @Test(
    "Modules build without a complaint of compiler or sparse",
    arguments: ModuleSource.allCases, KernelSeries.allCases)
  func moduleIsClean(module: ModuleSource, series: KernelSeries) async throws {
    let kernel = try await Self.lab.kernel(series)
    let build = ModuleBuild(module, cache: Self.lab.cache, progress: Self.lab.progress)
    #expect(try await build.complaints(for: kernel) == [])
  }

  @Test(
    "Guests on both kernels", .timeLimit(.minutes(20)),
    arguments: [
      Scenario.attach, .badDays, .lostMemory, .pressure, .pullBack, .pullBackLost, .xenPostCopy,
    ], KernelSeries.allCases)
  func scenario(_ scenario: Scenario, series: KernelSeries) async throws {
    let report = await scenario.run(Self.lab, on: series)
    #expect(report.failures == [])
  }

  /// Bad days take minutes, so each kernel has those of one kind; memx-lab runs the others.
  @Test(
    "Guests with RDMA", .timeLimit(.minutes(10)),
    arguments: [
      (Scenario.rdmaPages, KernelSeries.v6_1), (.rdmaPages, .v6_12),
      (.rdmaSwap, .v6_1), (.rdmaSwap, .v6_12), (.rdmaBadDays, .v6_1), (.rdmaSwapBadDays, .v6_12),
    ])
  func rdma(_ scenario: Scenario, series: KernelSeries) async throws {
    let report = await scenario.run(Self.lab, on: series)
    #expect(report.failures == [])
  }
}

extension Scenario: CustomTestStringConvertible {
  public var testDescription: String { name }
}
