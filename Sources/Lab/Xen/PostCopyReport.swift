// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials

/// What `memxctl migrate --json` says at the end of a migration.
struct PostCopyReport: Decodable, Sendable {
  let preparation_ms: Int
  let precopy_ms: Int
  let downtime_ms: Int
  let freeze_ms: Int
  let save_ms: Int
  let resume_ms: Int
  let total_ms: Int
  let precopied_pages: Int
  let residual_bytes: Int
  let slots_used: Int
  let slots_frozen: Int
  let pages_transferred: Int
  let pushed: Int
  let fetched: Int
  let network_faults: Int
  let minor_faults: Int
  let unused: Int
  let longest_wait_us: Int

  /// Reads what memxctl printed.
  ///
  /// - Throws: ``LabError`` when it failed or printed something else.
  init(_ outcome: Guest.Outcome) throws {
    guard outcome.succeeded,
      let line = outcome.output.split(separator: "\n").last(where: { $0.hasPrefix("{") }),
      let report = try? JSONDecoder().decode(Self.self, from: Data(line.utf8))
    else { throw LabError("memxctl migrate ended with \(outcome.code): \(outcome.text)") }
    self = report
  }

  /// The figures in the order in which they are reported.
  var values: [(name: String, value: Int)] {
    [
      ("downtime_ms", downtime_ms), ("freeze_ms", freeze_ms), ("save_ms", save_ms),
      ("total_ms", total_ms), ("preparation_ms", preparation_ms),
      ("precopy_ms", precopy_ms), ("resume_ms", resume_ms), ("precopied_pages", precopied_pages),
      ("residual_bytes", residual_bytes), ("slots_used", slots_used),
      ("slots_frozen", slots_frozen),
      ("pages", pages_transferred), ("pushed", pushed), ("fetched", fetched),
      ("network_faults", network_faults), ("minor_faults", minor_faults), ("unused", unused),
      ("longest_wait_us", longest_wait_us),
    ]
  }
}
