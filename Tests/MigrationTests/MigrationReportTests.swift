// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import Migration

/// What people and scripts are told of a migration.
@Suite struct MigrationReportTests {
  private var report: MigrationReport {
    var report = MigrationReport()
    report.domain = "guest"
    report.transport = "rdma"
    (report.preparation_ms, report.downtime_ms, report.resume_ms) = (1500, 250, 4000)
    (report.pushed, report.fetched) = (700, 300)
    (report.network_faults, report.minor_faults) = (25, 975)
    return report
  }

  @Test func aTableHasSumsAndUnitsOnce() {
    let lines = report.table.map { $0.split(separator: " ").joined(separator: " ") }
    #expect(lines.contains("pages follow over rdma"))
    #expect(lines.contains("downtime 250 ms"))
    #expect(lines.contains("total 5750 ms"))
    #expect(lines.contains("pages transferred 1000 pages"))
    #expect(lines.contains("network faults 25"))
    #expect(lines.contains("network faults 2.50 % of faults"))
  }

  @Test func scriptsGetTheSame() throws {
    let object = try #require(
      JSONSerialization.jsonObject(with: Data(report.json.line.utf8)) as? [String: Any])
    #expect(object["transport"] as? String == "rdma")
    #expect(object["total_ms"] as? Int == 5750)
    #expect(object["pages_transferred"] as? Int == 1000)
    #expect(object["network_fault_pct"] as? Double == 2.5)
  }

  @Test func withoutFaultsTheShareIsNone() {
    #expect(MigrationReport().network_fault_percent == 0)
  }
}
