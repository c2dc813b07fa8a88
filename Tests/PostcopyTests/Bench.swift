// SPDX-License-Identifier: Apache-2.0
import Foundation
import Subprocess
import SystemPackage
import Testing

/// memx-bench postcopy as a script runs it.
enum Bench {
  /// The executable beside the tests'.
  static func path() throws -> FilePath {
    try #require(CommandLine.arguments.first.map { FilePath($0).removingLastComponent() })
      .appending("memx-bench")
  }

  static func run(
    _ arguments: [String]
  ) async throws -> (status: Int32, out: String, err: String) {
    let result = try await Subprocess.run(
      .path(path()), arguments: Arguments(["postcopy"] + arguments),
      output: .string(limit: 1 << 16), error: .string(limit: 1 << 16))
    guard case .exited(let status) = result.terminationStatus else {
      Issue.record("memx-bench was ended by a signal")
      return (-1, "", "")
    }
    return (status, result.standardOutput, result.standardError)
  }

  /// Runs it with `--json`, which must succeed.
  ///
  /// - Returns: its objects, in order.
  static func figures(_ arguments: [String]) async throws -> [Figures] {
    let result = try await run(arguments + ["--json", "--timeout", "30"])
    try #require(result.status == 0, "\(result.err)")
    return try result.out.split(separator: "\n").map {
      try JSONDecoder().decode(Figures.self, from: Data($0.utf8))
    }
  }
}

/// One line of JSON. Every field must be there.
struct Figures: Decodable {
  var schema: Int
  var bench: String
  var strategy: String
  /// nil when the strategy goes by none.
  var order: String?
  var workload: String
  var rate_mb_s: Int
  var mtu: Int
  var processes: Int
  var pages: Int
  var runs: Int
  var touched_pages: Int
  var network_faults: Int
  var announced_faults: Int
  var minor_faults: Int
  var network_fault_pct: Double
  var announced_fault_pct: Double
  var minor_fault_pct: Double
  var late_faults: Int
  var blocked_ms: Double
  var demand_p50_us: Double
  var demand_p99_us: Double
  var preparation_ms: Double
  var downtime_ms: Double
  /// nil when not everything has come.
  var resume_ms: Double?
  var total_ms: Double?
  var run_ms: Double
  var reference_ms: Double
  var degradation_pct: Double
  var pages_transferred: Int
  var pushed: Int
  var fetched: Int
  var already_there: Int
  var never_used: Int
  var retransmissions: Int
  var sessions: Int
  var server_cpu_ms: Double
  var client_cpu_ms: Double
  var verified: Bool
}
