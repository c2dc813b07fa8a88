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
      .rdmaPages,
    ], KernelSeries.allCases)
  func scenario(_ scenario: Scenario, series: KernelSeries) async throws {
    let report = await scenario.run(Self.lab, on: series)
    #expect(report.failures == [])
  }

  /// What takes minutes each: on one of the kernels; `memx-lab run` has both. The module over soft-RoCE: on the
  /// one on which that bears a shortage of memory (docs/RDMA.md).
  @Test(
    "Bad days of guests that move, and RDMA", .timeLimit(.minutes(20)),
    arguments: zip(
      [
        Scenario.xenRefusals, .xenBadDays, .xenLostSource, .rdmaBadDays, .rdmaSwap,
        .rdmaSwapBadDays, .rdmaPullBack,
      ],
      [KernelSeries.v6_1, .v6_12, .v6_12, .v6_12, .v6_12, .v6_12, .v6_12]))
  func onOneKernel(_ scenario: Scenario, series: KernelSeries) async throws {
    let report = await scenario.run(Self.lab, on: series)
    #expect(report.failures == [])
  }
}

extension Scenario: CustomTestStringConvertible {
  public var testDescription: String { name }
}
