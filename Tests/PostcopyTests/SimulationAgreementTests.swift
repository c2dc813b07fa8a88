// SPDX-License-Identifier: Apache-2.0
import Foundation
import Prepaging
import Simulation
import Testing
import Workloads

/// The simulator, and real moves of the same programs over a link of the same rate.
@Suite(.serialized) struct SimulationAgreement {
  private static let pages = 2048
  private static let rate_mb_s = 50
  /// Of the pages that a program touches after the move, the part by which the two may differ. Medians of real moves
  /// differ from each other by 14 % where `bubble-dual-multi` meets random accesses.
  private static let margin = 0.18

  @Test(arguments: [MovableKind.sequentialRead, .stride, .zipf, .hotcold, .random])
  func networkFaultsAreThoseOfRealMoves(kind: MovableKind) async throws {
    // Not `push`: microseconds decide whether the program keeps ahead of it for good, and asks for twice as many pages.
    let strategies = ["demand-only", "bubble-dual-multi", "streams"]
    let workload = kind == .sequentialRead ? "sequential" : kind.rawValue
    let real = try await Bench.figures(
      [
        "--workload", workload, "--memory", "\(Self.pages * 4096)", "--runs", "5",
        "--rate-mb-s", "\(Self.rate_mb_s)", "--strategy",
      ] + strategies)
    let touches = try Self.firstTouches(kind)
    for run in real {
      try #require(run.touched_pages == touches.count, "the test moves another program")
      let simulated = Simulation.networkFaults(
        firstTouches: touches, slots: UInt64(Self.pages),
        compute_ns: UInt64(run.reference_ms * 1e6) / UInt64(touches.count),
        strategy: try #require(Strategy(run.strategy)), link: Self.link)
      let difference = abs(Double(simulated) - Double(run.network_faults)) / Double(touches.count)
      print("\(workload) \(run.strategy): \(run.network_faults) real, \(simulated) simulated")
      #expect(
        difference <= Self.margin,
        "\(workload), \(run.strategy): \(run.network_faults) real, \(simulated) simulated")
    }
  }

  /// The token bucket counts a frame's Ethernet header, and holds two of the largest frames. Both hosts' work is in the latency.
  private static var link: LinkModel {
    LinkModel(
      rate_bytes_s: UInt64(rate_mb_s) * 1_000_000, latency_ns: 20_000, overhead_bytes: 14,
      burst_bytes: 2 * 9014)
  }

  /// What the program that memx-bench moves touches after the move, as memx-bench sets it up unless told otherwise.
  private static func firstTouches(_ kind: MovableKind) throws -> [UInt64] {
    var program = try kind.make(MovableParameters(pages: pages, seed: 1024, rounds: 1, spin: 0))
    let memory = UnsafeMutableRawPointer.allocate(byteCount: pages * 4096, alignment: 4096)
    defer { memory.deallocate() }
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: pages * 4096)
    let steps = program.fillSteps + Int(0.4 * Double(program.totalSteps - program.fillSteps))
    _ = try program.run(memory, steps: steps)
    return try program.firstTouches(memory).map { UInt64($0) }
  }
}
