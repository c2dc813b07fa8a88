// SPDX-License-Identifier: Apache-2.0

/// What is measured of a guest's move, or the medians of several.
public struct XenMoveFigures: Sendable, Equatable {
  /// The figures' names in JSON.
  public enum Figure: String, CaseIterable, Sendable {
    /// The guest pages out, and runs.
    case preparation_ms
    /// Of the preparation, pages were sent ahead; the rest is the page-out.
    case precopy_ms
    /// No task of the guest runs.
    case downtime_ms
    /// Of the downtime, what the guest's module took.
    case freeze_ms
    /// Of the downtime, until `xl save` had ended, the one before included.
    case save_ms
    /// From the guest's start at the target until its last page has come. What pushes nothing is never
    /// complete by itself, and has neither this nor the next.
    case resume_ms
    /// The three together.
    case total_ms
    /// Pages that were sent ahead.
    case precopied_pages
    /// What moved in the downtime.
    case image_bytes
    /// What the source's network card sent meanwhile, protocols included.
    case sent_bytes
    /// Pages in slots when the guest was suspended.
    case slots_used
    /// Of those, the share that had been filled while the guest ran.
    case paged_out_before_pct
    /// Pages that moved until the program had used all of its memory: ahead, in the image, and behind.
    case pages
    case pushed
    case fetched
    /// Reads of pages that had to wait for a fetch.
    case network_faults
    /// Reads of pages that had been pushed.
    case minor_faults
    /// The share of the former in both.
    case network_fault_pct
    /// The longest that a fault waited.
    case longest_wait_us
    /// The longest that the program took for one of its pages by the guest's clock, which the downtime is
    /// not in.
    case longest_page_ms
  }

  private let values: [Figure: Double]

  /// Of a move by memx.
  ///
  /// - Parameter counted: what the guest's module counted from before the move until the program had used
  ///   all of its memory.
  init(_ report: PostCopyReport, _ counted: MoveCounters, isComplete: Bool, sent_bytes: Int) {
    let faults = counted.network_faults + counted.minor_faults
    var values: [Figure: Double] = [
      .preparation_ms: Double(report.preparation_ms), .precopy_ms: Double(report.precopy_ms),
      .precopied_pages: Double(report.precopied_pages), .downtime_ms: Double(report.downtime_ms),
      .freeze_ms: Double(report.freeze_ms), .save_ms: Double(report.save_ms),
      .image_bytes: Double(report.residual_bytes), .sent_bytes: Double(sent_bytes),
      .slots_used: Double(report.slots_used),
      .paged_out_before_pct: report.slots_used == 0
        ? 0 : 100 * (1 - Double(report.slots_frozen) / Double(report.slots_used)),
      .pages: Double(
        report.precopied_pages + report.residual_bytes / 4096 + counted.pushed_pages
          + counted.fetched_pages),
      .pushed: Double(counted.pushed_pages), .fetched: Double(counted.fetched_pages),
      .network_faults: Double(counted.network_faults),
      .minor_faults: Double(counted.minor_faults),
      .network_fault_pct: faults == 0 ? 0 : 100 * Double(counted.network_faults) / Double(faults),
      .longest_wait_us: Double(report.longest_wait_us),
    ]
    if isComplete {
      values[.resume_ms] = Double(report.resume_ms)
      values[.total_ms] = Double(report.total_ms)
    }
    self.values = values
  }

  /// Of a move by the stock toolstack, which sends everything in the downtime.
  init(_ moved: StopAndCopy, sent_bytes: Int) {
    values = [
      .preparation_ms: 0, .downtime_ms: moved.total_ms, .resume_ms: 0, .total_ms: moved.total_ms,
      .image_bytes: Double(sent_bytes), .sent_bytes: Double(sent_bytes),
      .pages: Double(sent_bytes / 4096),
    ]
  }

  private init(values: [Figure: Double]) { self.values = values }

  /// The same with what the program in the guest says.
  func adding(longest_page_us: Int) -> XenMoveFigures {
    XenMoveFigures(
      values: values.merging([.longest_page_ms: Double(longest_page_us) / 1000]) { $1 })
  }

  /// The median of each figure by itself; `runs`, all of one system, must not be empty.
  init(medianOf runs: [XenMoveFigures]) {
    values = runs[0].values.keys.reduce(into: [:]) { medians, figure in
      medians[figure] = SwapBenchmark.median(runs.compactMap { $0[figure] })
    }
  }

  /// The value of a figure, in the unit its name ends with; nil when there is none.
  public subscript(_ figure: Figure) -> Double? { values[figure] }
}
