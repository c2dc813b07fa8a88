// SPDX-License-Identifier: Apache-2.0

/// What is measured of a guest's move by post-copy, or the medians of several.
public struct PostCopyFigures: Sendable, Equatable {
  /// The figures' names in JSON.
  public enum Figure: String, CaseIterable, Sendable {
    /// Pages the destination asked for, of the whole guest.
    case network_faults
    /// The time the virtual processor waited for pages, by the destination's whole milliseconds.
    case blocked_ms
    /// The program's touches that took 100 µs or more: its own part of the faults.
    case stalls
    /// How long these took together.
    case stalled_ms
    /// The longest single touch.
    case longest_stall_ms
    /// The program's run, from its first touch to its last.
    case run_ms
    /// From the start at the destination to the end of the program's run: the run and the faults
    /// that came before its first touch.
    case finished_ms
    /// From the stop at the source to the start at the destination.
    case downtime_ms
    /// From the begin of the migration to its last byte.
    case total_ms
    /// Pages sent with their bytes.
    case pages
    /// Pages sent as a mark that they are empty.
    case zero_pages
    /// Bytes sent before the guest was stopped.
    case precopy_bytes
  }

  private let values: [Figure: Double]

  /// - Parameters:
  ///   - source: the source's `query-migrate` after the migration.
  ///   - destination: the destination's.
  ///   - downtime_us: from the stop at the source to the start at the destination.
  ///   - pass: the program's own report.
  ///   - finished_ms: from the start at the destination to that report.
  /// - Throws: ``LabError`` when an answer lacks what is needed.
  init(
    source: MigrationStatus, destination: MigrationStatus, downtime_us: Int64, pass: TouchReport,
    finished_ms: Double
  ) throws {
    guard let ram = source.ram, let total_ms = source.total_ms else {
      throw LabError("the source's QEMU does not say what it sent")
    }
    guard let blocked = destination.vcpu_blocked_ms else {
      throw LabError(
        "the destination's QEMU does not say how long the guest waited for pages",
        remedy: "use a QEMU with the migration capability postcopy-blocktime")
    }
    values = [
      .network_faults: Double(ram.postcopy_requests),
      .stalls: Double(pass.stalls),
      .blocked_ms: Double(blocked.reduce(0, +)),
      .stalled_ms: pass.stalled_us / 1000, .longest_stall_ms: pass.longest_us / 1000,
      .run_ms: pass.run_us / 1000, .finished_ms: finished_ms,
      .downtime_ms: Double(downtime_us) / 1000,
      .total_ms: Double(total_ms), .pages: Double(ram.normal), .zero_pages: Double(ram.duplicate),
      .precopy_bytes: Double(ram.precopy_bytes),
    ]
  }

  /// The median of each figure by itself; `runs` must not be empty.
  init(medianOf runs: [PostCopyFigures]) {
    values = Dictionary(
      uniqueKeysWithValues: Figure.allCases.map { figure in
        (figure, SwapBenchmark.median(runs.map { $0[figure] }))
      })
  }

  /// The value of a figure, in the unit its name ends with.
  public subscript(_ figure: Figure) -> Double { values[figure] ?? .nan }
}
