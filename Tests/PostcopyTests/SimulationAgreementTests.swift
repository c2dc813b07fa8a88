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
  /// One way, both hosts' work included: of a host that is quick to wake a thread, and of one that is slow or busy.
  ///
  /// At 37 µs, about half of what a page takes on the wire, the order of fetches and pushes changes, and random accesses
  /// meet a fifth fewer missing pages. Real moves are on either side of it, one host at different hours too.
  private static let latencies_us: [UInt64] = [20, 50]
  /// Of the pages that a program touches after the move, the part by which a real move may be outside what the simulator
  /// says for the two latencies.
  private static let margin = 0.12
  /// What else a machine does can put one move outside; what is wrong with the simulator puts all of them there.
  private static let attempts = 3

  @Test(arguments: [MovableKind.sequentialRead, .stride, .zipf, .hotcold, .random])
  func networkFaultsAreThoseOfRealMoves(kind: MovableKind) async throws {
    // Not `push`: microseconds decide whether the program keeps ahead of it for good, and asks for twice as many pages.
    let strategies = ["demand-only", "bubble-dual-multi", "streams"]
    let workload = kind == .sequentialRead ? "sequential" : kind.rawValue
    let touches = try Self.firstTouches(kind)
    var outside: [String] = []
    for _ in 1...Self.attempts {
      let real = try await Bench.figures(
        [
          "--workload", workload, "--memory", "\(Self.pages * 4096)", "--runs", "5",
          "--rate-mb-s", "\(Self.rate_mb_s)", "--strategy",
        ] + strategies)
      outside = try real.compactMap { try Self.outside($0, touches: touches) }
      if outside.isEmpty { break }
    }
    #expect(outside == [], "\(Self.attempts) times; this is the last")
  }

  /// What real moves and simulated ones have shown, when they do not agree.
  private static func outside(_ run: Figures, touches: [UInt64]) throws -> String? {
    try #require(run.touched_pages == touches.count, "the test moves another program")
    let strategy = try #require(Strategy(run.strategy))
    let simulated = latencies_us.map {
      Simulation.networkFaults(
        firstTouches: touches, slots: UInt64(pages),
        compute_ns: UInt64(run.reference_ms * 1e6) / UInt64(touches.count),
        strategy: strategy, link: link(latency_us: $0))
    }
    let least = Double(try #require(simulated.min()))
    let most = Double(try #require(simulated.max()))
    let faults = Double(run.network_faults)
    let figures =
      "\(run.workload), \(strategy): \(run.network_faults) real, \(simulated) simulated"
    print(figures)
    let part = max(least - faults, faults - most, 0) / Double(touches.count)
    return part > margin ? figures : nil
  }

  /// The token bucket counts a frame's Ethernet header, and holds two of the largest frames.
  private static func link(latency_us: UInt64) -> LinkModel {
    LinkModel(
      rate_bytes_s: UInt64(rate_mb_s) * 1_000_000, latency_ns: latency_us * 1000,
      overhead_bytes: 14, burst_bytes: 2 * 9014)
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
