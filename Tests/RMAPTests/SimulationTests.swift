// SPDX-License-Identifier: Apache-2.0
import RMAP
import Testing

/// Simulated networks drive the session code of both sides. MEMX_SCHEDULES says how many.
@Suite struct SimulationTests {
  @Test("Every page read is the one last acknowledged, and every run ends")
  func schedules() {
    let first = Environment.seed
    var failures = 0
    for seed in first..<first + Environment.schedules {
      let report = Simulation(seed: UInt64(seed)).run()
      guard !report.violations.isEmpty else { continue }
      Issue.record(
        """
        seed \(seed), after \(report.frames) frames: \
        \(report.violations.prefix(5).joined(separator: "; ")). To replay: \
        MEMX_SEED=\(seed) MEMX_SCHEDULES=1 swift test -c release --filter SimulationTests
        """)
      failures += 1
      if failures == 5 { return }
    }
  }

  @Test("A seed makes the same run every time", arguments: [1, 77, 4711, 1_000_003] as [UInt64])
  func replays(seed: UInt64) {
    let first = Simulation(seed: seed).run()
    let second = Simulation(seed: seed).run()
    #expect(first.digest == second.digest)
    #expect(first.frames == second.frames)
    #expect(first.end_ns == second.end_ns)
  }
}
