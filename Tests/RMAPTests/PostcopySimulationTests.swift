// SPDX-License-Identifier: Apache-2.0
import RMAP
import Testing

@Suite struct PostcopySimulationTests {
  @Test("Every page arrives, with the right bytes, and every post-copy ends")
  func schedules() {
    let first = Environment.seed
    var failures = 0
    for seed in first..<first + Environment.schedules / 5 {
      let report = PostcopySimulation(seed: UInt64(seed)).run()
      var violations = report.violations
      // On a network that loses nothing a page crosses once, pushed or fetched.
      if report.isClean, report.pagesSent > Double(report.pages) {
        violations.append("\(report.pagesSent) pages sent of \(report.pages)")
      }
      guard !violations.isEmpty else { continue }
      Issue.record(
        """
        seed \(seed): \(violations.prefix(5).joined(separator: "; ")). To replay: \
        MEMX_SEED=\(seed) MEMX_SCHEDULES=5 swift test -c release --filter PostcopySimulationTests
        """)
      failures += 1
      if failures == 5 { return }
    }
  }

  @Test("A seed makes the same run every time", arguments: [1, 77, 4711] as [UInt64])
  func replays(seed: UInt64) {
    let first = PostcopySimulation(seed: seed).run()
    let second = PostcopySimulation(seed: seed).run()
    #expect(first.digest == second.digest)
    #expect(first.end_ns == second.end_ns)
  }
}
