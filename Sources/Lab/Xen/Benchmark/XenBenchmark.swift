// SPDX-License-Identifier: Apache-2.0
import Console
import SystemPackage

/// A Xen guest's post-copy by each strategy, and the stock toolstack's stop-and-copy, between the same two
/// hosts over the same link: the paper's Figures 5 to 7 and Table 2.
///
/// Hosts are emulated where there is no KVM, so only ratios of one run say something.
public struct XenBenchmark: Sendable {
  /// The guest's memory, in MiB.
  ///
  /// Not 64: the distribution's kernels alone want 58 MiB in one piece above the first 16. In 96 MiB they leave 28 for
  /// programs, and Linux kills one with a quarter of the memory now and then when its pages are read back.
  public var memory_mib = [128, 256]
  /// How much of it its program uses.
  public var workingSets = XenMove.WorkingSet.allCases
  /// What the program does.
  public var accesses = XenMove.Access.allCases
  /// The least time from one page of the program to the next, in µs.
  ///
  /// A page takes a millisecond or so over an emulated link. A program that is in more of a hurry waits for
  /// the link whatever is sent first.
  public var step_us = 0
  /// What the network between the hosts carries, in 10⁶ bytes a second; 0 for as much as it can; nil for
  /// ``linkShare`` of what stop-and-copy of ``everySystem``'s guest carries with no limit, which is measured first.
  ///
  /// A link that is faster than the hosts' processors has no say, and how fast these are changes from day to day.
  public var rate_mb_s: Int?
  /// How each guest is moved; nil for ``XenMoveSystem/compared``, and for all there are with
  /// ``everySystem``'s guest.
  public var systems: [XenMoveSystem]?
  /// How often each is measured; the median counts.
  public var runs = 1

  public init() {}

  /// The link's part of what the hosts could carry when no rate is asked for: so little that a move waits for the link,
  /// as over the paper's gigabit, and not for the hosts' processors.
  static let linkShare = 0.25

  /// What is moved.
  public var moves: [XenMove] {
    memory_mib.flatMap { memory in
      workingSets.flatMap { workingSet in
        accesses.map { XenMove(memory_mib: memory, workingSet: workingSet, access: $0) }
      }
    }
  }

  /// The guest that is moved in every way when none is asked for: of the largest memory, with the least pages
  /// that follow, so that all ways together take a quarter of an hour rather than several.
  var everySystem: XenMove? {
    memory_mib.max().map { XenMove(memory_mib: $0, workingSet: .quarter, access: .write) }
  }

  /// What is moved, and how.
  public var cases: [(move: XenMove, system: XenMoveSystem)] {
    moves.flatMap { move in
      (systems ?? (move == everySystem ? XenMoveSystem.allCases : XenMoveSystem.compared)).map {
        (move, $0)
      }
    }
  }

  /// The medians over the runs of one case on one system, or one run of it.
  public struct Line: Sendable {
    public let move: XenMove
    public let system: XenMoveSystem
    public let step_us: Int
    public let rate_mb_s: Int
    public let kernel: String
    public let accelerator: Accelerator
    /// The size of the program's memory in MiB and the figures of each run that succeeded.
    let measured: [XenMover.Moved]
    /// Why others did not.
    let failures: [LabError]

    /// The medians; nil when no run succeeded. There are no figures of a run whose data was not verified.
    public var figures: XenMoveFigures? {
      measured.isEmpty ? nil : XenMoveFigures(medianOf: measured.map(\.figures))
    }

    /// One JSON object on one line.
    public var json: String {
      var values: [(String, Report.Value)] = [
        ("case", .text(move.name)), ("system", .text(system.rawValue)), ("kernel", .text(kernel)),
        ("accelerator", .text(accelerator.rawValue)), ("memory_mib", .count(move.memory_mib)),
        ("working_set", .text(move.workingSet.rawValue)), ("access", .text(move.access.rawValue)),
        ("step_us", .count(step_us)), ("rate_mb_s", .count(rate_mb_s)),
        ("runs", .count(measured.count)),
      ]
      if let figures {
        values.append(("working_set_mib", .count(measured[0].workingSet_mib)))
        values += XenMoveFigures.Figure.allCases.compactMap { figure in
          figures[figure].map { (figure.rawValue, .number($0)) }
        }
        values.append(("verified", .flag(true)))
      }
      if !failures.isEmpty {
        values.append(("failed", .text(failures.map(\.description).joined(separator: "; "))))
      }
      return Report(scenario: "postcopy-xen", failures: [], values: values).json(kind: "bench")
    }

    /// A sentence for people.
    public var text: String {
      guard let figures else {
        return "\(move.name), \(system.rawValue): failed: \(failures.map(\.description))"
      }
      func seconds(_ figure: XenMoveFigures.Figure) -> String {
        figures[figure].map { decimal($0 / 1000, places: 1) + " s" } ?? "-"
      }
      return "\(move.name), \(system.rawValue): prepared in \(seconds(.preparation_ms)),"
        + " stopped for \(seconds(.downtime_ms)), moved in \(seconds(.total_ms)), verified"
    }
  }

  /// The lines as a table for people.
  public static func table(_ lines: [Line]) -> String {
    typealias Figure = XenMoveFigures.Figure
    let figures: [(Figure, title: String, unit: Double, places: Int)] = [
      (.preparation_ms, "prep. s", 1000, 1), (.downtime_ms, "down s", 1000, 1),
      (.freeze_ms, "freeze s", 1000, 1), (.save_ms, "save s", 1000, 1),
      (.paged_out_before_pct, "out before %", 1, 0),
      (.resume_ms, "resume s", 1000, 1),
      (.total_ms, "total s", 1000, 1),
      (.image_bytes, "image MB", 1e6, 1), (.pages, "pages", 1, 0),
      (.network_faults, "network faults", 1, 0), (.network_fault_pct, "%", 1, 1),
    ]
    var columns = Columns(
      [
        ("MB/s", .right), ("MiB", .right), ("working set", .right), ("access", .left),
        ("system", .left),
      ] + figures.map { ($0.title, Columns.Side.right) })
    for line in lines {
      let size = line.measured.first.map { "\($0.workingSet_mib) MiB" }
      columns.add(
        [
          line.rate_mb_s == 0 ? "-" : "\(line.rate_mb_s)", "\(line.move.memory_mib)",
          size ?? line.move.workingSet.rawValue,
          line.move.access.rawValue, line.system.rawValue,
        ]
          + figures.map { figure, _, unit, places in
            line.figures?[figure].map { decimal($0 / unit, places: places) } ?? "-"
          })
    }
    return columns.lines.joined(separator: "\n")
  }

  /// Runs it: each round has every case once, so that what else the machine does falls on all of them
  /// alike.
  ///
  /// A case that fails does not end it: the next one gets a new guest.
  ///
  /// - Parameters:
  ///   - series: the guests' kernel.
  ///   - logs: where to keep the logs; kept only after a failure when nil.
  ///   - eachRun: told of each run as it ends.
  ///   - eachLine: told of each case once all its runs have ended.
  /// - Throws: ``LabError`` when the hosts cannot be used, or there were signs of trouble in what the kernels
  ///   said.
  public func run(
    _ lab: Lab, on series: KernelSeries, logs: FilePath? = nil,
    eachRun: @escaping @Sendable (Line) -> Void, eachLine: @escaping @Sendable (Line) -> Void
  ) async throws {
    let cases = cases
    guard let everySystem else { return }
    try await XenBed.with(lab, series, logs: logs) { bed in
      let machines = [1, 2].map {
        XenMachine(number: $0, guests_mib: everySystem.memory_mib + Self.spare_mib)
      }
      try await bed.withHosts(machines) { hosts, network in
        for host in hosts {
          try await host.startMemxd()
          try await host.takeGuests()
        }
        let mover = XenMover(bed, hosts, step_us: step_us)
        func line(
          _ move: XenMove, _ system: XenMoveSystem, rate_mb_s: Int, _ measured: [XenMover.Moved],
          _ failures: [LabError]
        ) -> Line {
          Line(
            move: move, system: system, step_us: step_us, rate_mb_s: rate_mb_s,
            kernel: bed.parts.guestKernel.release, accelerator: bed.parts.accelerator,
            measured: measured, failures: failures)
        }
        let rate_mb_s: Int
        if let asked = self.rate_mb_s {
          rate_mb_s = asked
        } else {
          bed.progress.note("first, with no limit: \(everySystem.name), stop-and-copy")
          let moved = try await mover.move(everySystem, by: .stopAndCopy)
          let unlimited = line(everySystem, .stopAndCopy, rate_mb_s: 0, [moved], [])
          eachRun(unlimited)
          eachLine(unlimited)
          rate_mb_s = Self.linkRate_mb_s(moved.figures)
          bed.progress.note("the link carries \(rate_mb_s) MB/s from now on")
        }
        if rate_mb_s > 0 {
          for host in hosts { try await network.bound(host.machine, rate_mb_s: rate_mb_s) }
        }
        let works = cases.map { Self.work($0.move) }
        var pace = Pace(works: Array(repeating: works, count: runs).joined())
        var measured = cases.map { _ in [XenMover.Moved]() }
        var failures = cases.map { _ in [LabError]() }
        for round in 1...runs {
          for (index, (move, system)) in cases.enumerated() {
            bed.progress.note("\(pace.text): \(move.name), \(system.rawValue)")
            do {
              let moved = try await mover.move(move, by: system)
              measured[index].append(moved)
              eachRun(line(move, system, rate_mb_s: rate_mb_s, [moved], []))
            } catch let error as LabError {
              failures[index].append(error)
              eachRun(line(move, system, rate_mb_s: rate_mb_s, [], [error]))
            }
            pace.advance()
            if round == runs {
              eachLine(
                line(move, system, rate_mb_s: rate_mb_s, measured[index], failures[index]))
            }
          }
        }
      }
    }
  }

  /// A link's rate, at least 1, when stop-and-copy with no limit has the given figures.
  static func linkRate_mb_s(_ unlimited: XenMoveFigures) -> Int {
    let carried_mb_s = (unlimited[.sent_bytes] ?? 0) / 1000 / (unlimited[.total_ms] ?? .infinity)
    return max(1, Int((carried_mb_s * linkShare).rounded()))
  }

  /// What a host needs beside the guest's memory, in MiB: page tables, and libxl's slack.
  private static let spare_mib = 128

  /// How long a move takes compared to others.
  private static func work(_ move: XenMove) -> Double {
    Double(move.memory_mib) * (move.workingSet == .quarter ? 1 : 2)
  }
}
