// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import Lab

/// What the benchmark of moves of a Xen guest reads, computes and prints; nothing is booted.
@Suite("Benchmark of a Xen guest's moves")
struct XenBenchmarkTests {
  static let move = XenMove(memory_mib: 128, workingSet: .quarter, access: .write)

  static func report(downtime_ms: Int) throws -> PostCopyReport {
    let line = XenLabTests.migrated.replacing(
      "\"downtime_ms\":2000", with: "\"downtime_ms\":\(downtime_ms)")
    return try PostCopyReport(Guest.Outcome(code: 0, output: line))
  }

  static func figures(downtime_ms: Int = 2000, isComplete: Bool = true) throws -> XenMoveFigures {
    let before = try MoveCounters(parsing: "100\n20\n10\n0\n")
    let after = try MoveCounters(parsing: "1100\n220\n160\n850\n")
    return XenMoveFigures(
      try report(downtime_ms: downtime_ms), after - before, isComplete: isComplete,
      sent_bytes: 14_000_000
    ).adding(longest_page_us: 51_200)
  }

  static func line(_ runs: [XenMoveFigures], failures: [LabError] = []) -> XenBenchmark.Line {
    XenBenchmark.Line(
      move: move, system: .dualMultiLRU, step_us: 100, rate_mb_s: 20, kernel: "6.1.0",
      accelerator: .tcg,
      measured: runs.map { XenMover.Moved(figures: $0, workingSet_mib: 32) }, failures: failures)
  }

  static func object(_ line: XenBenchmark.Line) throws -> [String: Any] {
    try #require(JSONSerialization.jsonObject(with: Data(line.json.utf8)) as? [String: Any])
  }

  @Test("faults and pages are counted from before the move, times come from memxctl")
  func figures() throws {
    let figures = try Self.figures()
    let expected: [XenMoveFigures.Figure: Double] = [
      .preparation_ms: 9000, .precopy_ms: 1200, .precopied_pages: 17000, .downtime_ms: 2000,
      .freeze_ms: 300, .save_ms: 1500, .resume_ms: 7000,
      .total_ms: 18000,
      .image_bytes: 9_000_000, .sent_bytes: 14_000_000, .slots_used: 12000,
      .paged_out_before_pct: 75,
      .pages: 17000 + 2197 + 1000 + 200, .pushed: 1000, .fetched: 200, .network_faults: 150,
      .minor_faults: 850, .network_fault_pct: 15, .longest_wait_us: 51000, .longest_page_ms: 51.2,
    ]
    for figure in XenMoveFigures.Figure.allCases {
      #expect(figures[figure] == expected[figure], "\(figure)")
    }
  }

  @Test("what pushes nothing has no end of its own, and so no total time")
  func incomplete() throws {
    let figures = try Self.figures(isComplete: false)
    #expect(figures[.total_ms] == nil && figures[.resume_ms] == nil)
    #expect(figures[.downtime_ms] == 2000)
    let object = try Self.object(Self.line([figures]))
    #expect(object["total_ms"] == nil && object["downtime_ms"] as? Double == 2000)
  }

  @Test("stop-and-copy stands still for all of its time, and has no faults")
  func stopAndCopy() {
    let figures = XenMoveFigures(StopAndCopy(total_ms: 3700), sent_bytes: 8192 * 4096)
    #expect(figures[.downtime_ms] == 3700 && figures[.total_ms] == 3700)
    #expect(figures[.pages] == 8192 && figures[.network_faults] == nil)
  }

  @Test(
    "the link carries a quarter of what stop-and-copy does with no limit, and something at least",
    arguments: [(6000.0, 11), (14_300.0, 5), (1_000_000.0, 1)])
  func linkRate(total_ms: Double, rate_mb_s: Int) {
    let figures = XenMoveFigures(StopAndCopy(total_ms: total_ms), sent_bytes: 270_000_000)
    #expect(XenBenchmark.linkRate_mb_s(figures) == rate_mb_s)
  }

  @Test("a line has the medians of its runs, and names what was moved, and how")
  func medians() throws {
    let runs = try [9000, 1000, 3000].map { try Self.figures(downtime_ms: $0) }
    let object = try Self.object(Self.line(runs))
    #expect(object["schema"] as? Int == 1 && object["bench"] as? String == "postcopy-xen")
    #expect(object["case"] as? String == "128 MiB, quarter, write")
    #expect(object["system"] as? String == "bubble-dual-multi+lru")
    #expect(object["memory_mib"] as? Int == 128 && object["working_set_mib"] as? Int == 32)
    #expect(object["access"] as? String == "write" && object["step_us"] as? Int == 100)
    #expect(object["runs"] as? Int == 3 && object["downtime_ms"] as? Double == 3000)
    #expect(object["verified"] as? Bool == true && object["failed"] == nil)
  }

  @Test("a case of which no run succeeded says why, and nothing else")
  func failed() throws {
    let line = Self.line([], failures: [LabError("the guest is gone")])
    let object = try Self.object(line)
    #expect(object["failed"] as? String == "the guest is gone" && object["runs"] as? Int == 0)
    #expect(object["verified"] == nil && object["downtime_ms"] == nil)
    #expect(line.text.contains("the guest is gone"))
    #expect(XenBenchmark.table([line]).contains("quarter"))
  }

  @Test("what the program in the guest says is its time, or an error that shows it")
  func sweep() throws {
    #expect(try Sweep.longest_us("verified passes=12 longest_us=5120") == 5120)
    for bad in ["", "filled", "verified", "verified longest_us=much", "wrong: word 3 of page 17"] {
      #expect { try Sweep.longest_us(bad) } throws: { "\($0)".contains("‘\(bad)’") }
    }
  }

  @Test("counters that are not all there are an error", arguments: ["", "1\n2\n3", "1\n2\nx\n4"])
  func counters(text: String) {
    #expect(throws: LabError.self) { try MoveCounters(parsing: text) }
  }

  @Test("working sets are parts of the memory, or of what is available of it")
  func workingSets() {
    #expect(XenMove.WorkingSet.quarter.size_mib(of: 128, available_mib: 60) == 32)
    #expect(XenMove.WorkingSet.most.size_mib(of: 128, available_mib: 60) == 48)
    #expect(XenMove.WorkingSet.most.size_mib(of: 64, available_mib: 0) == 1)
  }

  @Test("one guest is moved in every way, the others in the compared ones, and all as asked")
  func cases() {
    var benchmark = XenBenchmark()
    let every = XenMove(memory_mib: 256, workingSet: .quarter, access: .write)
    for move in benchmark.moves {
      let systems = benchmark.cases.filter { $0.move == move }.map(\.system)
      #expect(systems == (move == every ? XenMoveSystem.allCases : XenMoveSystem.compared))
    }
    benchmark.systems = [.push]
    #expect(benchmark.cases.map(\.move) == benchmark.moves)
    #expect(benchmark.cases.allSatisfy { $0.system == .push })
  }

  @Test("systems are named as memxctl names strategies")
  func systems() {
    #expect(XenMoveSystem(rawValue: "push+lru")?.strategy == "push+lru")
    #expect(XenMoveSystem.stopAndCopy.strategy == nil)
    #expect(XenMoveSystem(rawValue: "bubble") == nil)
  }

  @Test("what is left is told at the pace up to now, by the tasks' sizes")
  func pace() {
    let start = ContinuousClock.now
    var pace = Pace(works: [1, 1, 4, 2], start: start)
    #expect(pace.left(at: start + .seconds(5)) == nil)
    pace.advance()
    #expect(pace.left(at: start + .seconds(10)) == .seconds(70))
    pace.advance()
    pace.advance()
    #expect(pace.left(at: start + .seconds(60)) == .seconds(20))
    #expect(pace.text.hasPrefix("4 of 4, about 1 min left"))
  }
}
