// SPDX-License-Identifier: Apache-2.0
import Console
import SystemPackage

/// QEMU's own post-copy, measured as a peer of memx's: a guest that touches its memory in a known
/// order is moved between two namespaces over a link of a known rate.
///
/// ``caveats`` says what makes it unequal to a program that is moved by memx.
public struct PostCopyBenchmark: Sendable {
  /// The rates of the link, each in 10⁶ bytes a second; 0 for no limit.
  public var rates_mb_s = [50]
  /// The memory the guest's program touches, in MiB; the guest has its kernel's beside.
  public var memory_mib = 64
  /// The least time from one touch to the next, in µs.
  ///
  /// A page of 4 KiB takes 82 µs at 50 MB/s. A program in more of a hurry waits for the link
  /// whatever is sent first, so the default is a little above that.
  public var step_us = 100
  /// The orders of touching.
  public var patterns = TouchPattern.allCases
  /// How often each is measured; the median counts.
  public var runs = 3

  public init() {}

  /// What makes the figures unequal to those of a program moved by memx, for people.
  public static let caveats = [
    "The virtual processor may be emulated: it touches pages more slowly than a native program,"
      + " which leaves QEMU more time to push them before they are wanted.",
    "QEMU moves the whole guest, kernel included: faults, blocked, total and pages count that too;"
      + " stalls, stalled, longest and run are of the program's touches alone.",
    "The kernel and the program's code fault first, and the push goes on meanwhile: part of the"
      + " memory is there before the first touch. finished counts from the guest's start to the end"
      + " of the run, and so has that time too.",
    "A page asked for waits behind what is queued, and many pages come meanwhile: few faults, each"
      + " a long one. Compare blocked time with the number of faults, not one of them alone.",
    "A program whose steps are shorter than a page's way over the link (82 µs at 50 MB/s) waits for"
      + " the link whatever is sent first: compare at the same rate and step.",
    "QEMU sums blocked from whole milliseconds; stalls are touches of 100 µs or more by the guest's"
      + " clock, whatever made them long.",
    "Both QEMUs share this machine's processors.",
  ]

  /// One run of one pattern, or the medians over the runs.
  public struct Line: Sendable {
    public let system: QEMUPostCopy
    public let pattern: TouchPattern
    public let rate_mb_s: Int
    public let memory_mib: Int
    public let step_us: Int
    public let accelerator: Accelerator
    /// How many runs the figures are the medians of.
    public let runs: Int
    public let figures: PostCopyFigures

    /// One JSON object on one line. There is no line of a run whose data was not verified.
    public var json: String {
      Report(
        scenario: "qemu-postcopy", failures: [],
        values: [
          ("system", .text(system.rawValue)), ("pattern", .text(pattern.rawValue)),
          ("rate_mb_s", .count(rate_mb_s)), ("memory_mib", .count(memory_mib)),
          ("step_us", .count(step_us)), ("accelerator", .text(accelerator.rawValue)),
          ("runs", .count(runs)),
        ] + PostCopyFigures.Figure.allCases.map { ($0.rawValue, .number(figures[$0])) }
          + [("verified", .flag(true))]
      ).json(kind: "bench")
    }

    /// A sentence for people.
    public var text: String {
      func ms(_ figure: PostCopyFigures.Figure) -> String { decimal(figures[figure], places: 0) }
      return "\(pattern.rawValue) with \(system.rawValue) at \(PostCopyBenchmark.rate(rate_mb_s)):"
        + " \(ms(.network_faults)) faults, blocked \(ms(.blocked_ms)) ms, run \(ms(.run_ms)) ms,"
        + " moved in \(ms(.total_ms)) ms, verified"
    }
  }

  /// The lines as a table for people, what is to be known of it below.
  public static func table(_ lines: [Line]) -> String {
    typealias Figure = PostCopyFigures.Figure
    let figures: [(Figure, title: String, places: Int)] = [
      (.network_faults, "faults", 0),
      (.blocked_ms, "blocked ms", 0), (.stalls, "stalls", 0), (.stalled_ms, "stalled ms", 1),
      (.longest_stall_ms, "longest ms", 1), (.run_ms, "run ms", 1),
      (.finished_ms, "finished ms", 0),
      (.downtime_ms, "downtime ms", 1), (.total_ms, "total ms", 0), (.pages, "pages", 0),
      (.precopy_bytes, "precopy bytes", 0),
    ]
    var columns = Columns(
      [("system", .left), ("pattern", .left), ("rate", .right)]
        + figures.map { ($0.title, Columns.Side.right) })
    for line in lines {
      columns.add(
        [
          line.system.rawValue, line.pattern.rawValue,
          rate(line.rate_mb_s),
        ] + figures.map { decimal(line.figures[$0.0], places: $0.places) })
    }
    return (columns.lines + [""] + caveats.map { "- \($0)" }).joined(separator: "\n")
  }

  private static func rate(_ rate_mb_s: Int) -> String {
    rate_mb_s == 0 ? "no limit" : "\(rate_mb_s) MB/s"
  }

  /// Runs it: each round has every case once, so that what else the machine does falls on all of
  /// them alike.
  ///
  /// - Parameters:
  ///   - series: the guests' kernel.
  ///   - logs: where to keep the logs; kept only after a failure when nil.
  ///   - eachRun: told of each run as it ends.
  /// - Throws: ``LabError`` when a guest cannot be moved, or its data was wrong afterwards.
  public func run(
    _ lab: Lab, on series: KernelSeries, logs: FilePath? = nil,
    eachRun: @Sendable (Line) -> Void
  ) async throws -> [Line] {
    let kernel = try await lab.kernel(series)
    let accelerator = try await Accelerator.usable(
      cache: lab.cache, kernel: kernel, progress: lab.progress)
    let ramdisk = try await TouchRamdisk(cache: lab.cache, progress: lab.progress).archive()
    let cases = rates_mb_s.flatMap { rate in
      patterns.flatMap { pattern in QEMUPostCopy.allCases.map { ($0, pattern, rate) } }
    }
    @Sendable func line(_ index: Int, _ measured: [PostCopyFigures]) -> Line {
      let (system, pattern, rate) = cases[index]
      return Line(
        system: system, pattern: pattern, rate_mb_s: rate, memory_mib: memory_mib,
        step_us: step_us, accelerator: accelerator, runs: measured.count,
        figures: PostCopyFigures(medianOf: measured))
    }
    return try await LogDirectory.with(logs) { directory in
      var measured = [[PostCopyFigures]](repeating: [], count: cases.count)
      for round in 1...runs {
        for (index, (system, pattern, rate)) in cases.enumerated() {
          let name = "\(system.rawValue)-\(pattern.rawValue)-\(rate)-\(round)"
          lab.progress.note(
            "round \(round) of \(runs): \(pattern.rawValue) with \(system.rawValue)")
          let machine = TouchGuest.Machine(
            kernel: kernel, accelerator: accelerator, ramdisk: ramdisk, pattern: pattern,
            area_mib: memory_mib, step_us: step_us)
          do {
            let figures = try await move(
              machine, by: system, rate_mb_s: rate, directory: directory.appending(name))
            measured[index].append(figures)
            eachRun(line(index, [figures]))
          } catch {
            throw LabError("\(name): \(error)")
          }
        }
      }
      return measured.enumerated().map { line($0.offset, $0.element) }
    }
  }

  private func move(
    _ machine: TouchGuest.Machine, by system: QEMUPostCopy, rate_mb_s: Int, directory: FilePath
  ) async throws -> PostCopyFigures {
    // Twice what the link needs for the guest, and a minute for a slow machine.
    let transfer_s = rate_mb_s == 0 ? 0 : machine.memory_mib * 2 / rate_mb_s
    let touching_s = machine.area_mib * 256 * step_us / 1_000_000
    let timeout = Duration.seconds(60 + transfer_s + touching_s)
    return try await Wire.with(rate_mb_s: rate_mb_s) { wire in
      try await TouchGuest.with(
        machine, in: wire.destination, directory: directory.appending("destination"),
        incoming: true
      ) { destination in
        try await TouchGuest.with(
          machine, in: wire.source, directory: directory.appending("source"), incoming: false
        ) { source in
          try await system.move(from: source, to: destination, over: wire, timeout: timeout)
        }
      }
    }
  }
}
