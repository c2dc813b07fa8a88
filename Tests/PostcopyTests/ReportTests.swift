// SPDX-License-Identifier: Apache-2.0
import Foundation
import RMAP
import RemoteMemory
import Testing
import Workloads

@testable import memx_bench

@Suite struct PostcopyReports {
  private func run(
    fetched: UInt64, pushed: UInt64, asked: UInt64, announced: UInt64, run_ms: UInt64,
    resume_ms: UInt64?
  ) -> PostcopyFigures {
    var figures = PostcopyFigures()
    figures.downtime_ns = 3_000_000
    figures.resume_ns = resume_ms.map { $0 * 1_000_000 }
    figures.run_ns = run_ms * 1_000_000
    figures.report.fetched = fetched
    figures.report.pushed = pushed
    figures.report.networkFaults = asked
    figures.report.announcedFaults = announced
    return figures
  }

  private func report(_ runs: [PostcopyFigures]) -> PostcopyReport {
    var stopped = StoppedPrograms()
    stopped.states = [[], []]
    stopped.pages = 500
    stopped.touchedPages = 800
    stopped.preparation_ns = 2_000_000
    return PostcopyReport(
      workload: "stride-2", strategy: "push", order: .lru, rate_mb_s: 50, mtu: 1500,
      stopped: stopped,
      runs: runs,
      stays_ns: [20_000_000, 10_000_000, 60_000_000])
  }

  @Test func figuresAreMedians() throws {
    let line = report([
      run(fetched: 10, pushed: 990, asked: 12, announced: 8, run_ms: 50, resume_ms: 100),
      run(fetched: 100, pushed: 900, asked: 100, announced: 80, run_ms: 90, resume_ms: 300),
      run(fetched: 40, pushed: 960, asked: 40, announced: 16, run_ms: 30, resume_ms: 95),
    ]).json
    let found = try JSONDecoder().decode(Figures.self, from: Data(line.utf8))
    #expect(found.pages == 1000 && found.processes == 2 && found.runs == 3)
    #expect(found.network_faults == 40 && found.network_fault_pct == 5)
    #expect(found.announced_faults == 16 && found.announced_fault_pct == 2)
    #expect(found.minor_faults == 744 && found.minor_fault_pct == 93)
    #expect(found.fetched == 40 && found.pushed == 960 && found.pages_transferred == 1000)
    // 760 of the pages that were touched had been pushed.
    #expect(found.never_used == 200)
    #expect(found.resume_ms == 100 && found.total_ms == 105)
    #expect(found.run_ms == 50 && found.reference_ms == 20 && found.degradation_pct == 150)
  }

  @Test func aTransferThatDoesNotEndHasNoTotal() throws {
    let line = report([
      run(fetched: 800, pushed: 0, asked: 800, announced: 0, run_ms: 50, resume_ms: nil)
    ]).json
    let found = try JSONDecoder().decode(Figures.self, from: Data(line.utf8))
    #expect(found.resume_ms == nil && found.total_ms == nil && found.never_used == 0)
  }

  @Test func peopleGetARowForEachColumn() {
    var table = PostcopyReport.columns
    table.add(
      report([run(fetched: 1, pushed: 2, asked: 1, announced: 0, run_ms: 1, resume_ms: nil)]).row)
    #expect(table.lines.count == 2)
  }

  @Test func ordersAreMergedClassByClass() {
    var first = Recency(pages: 8)
    first.age(touched: [0, 1, 2])
    first.age(touched: [5, 6])
    var second = Recency(pages: 8)
    second.age(touched: [7])
    second.age(touched: [3])
    #expect(
      PostcopySource.merge([first, second], pages: 8) == [
        Extent(slot: 5, count: 2), Extent(slot: 11, count: 1), Extent(slot: 0, count: 3),
        Extent(slot: 15, count: 1),
      ])
  }

  @Test func hexadecimalGoesThereAndBack() {
    let every = (0...255).map { UInt8($0) }
    #expect(bytes(hexadecimal: hexadecimal(every)[...]) == every)
    for wrong in ["1", "0g", "+1", "-1"] { #expect(bytes(hexadecimal: wrong[...]) == nil) }
  }
}
