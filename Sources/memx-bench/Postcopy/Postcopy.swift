// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Console
import Glibc
import Links
import Prepaging
import Processes
import RMAP
import Workloads

struct Postcopy: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Moves running programs by post-copy, and compares prepaging strategies.",
    discussion: """
      Programs run up to a moment and stop; their pages go to memxd, and the programs go on in other processes \
      in another network namespace, to which their pages come over a veth pair with raw Ethernet. Each \
      verifies its data at the end. Runs of all strategies, at all rates, and runs that never move take \
      turns; figures are medians.

      Workloads:
      \(MovableKind.allCases.map { "  \($0.rawValue): \($0.summary)" }.joined(separator: "\n"))

      Needs root, ip and tc, and memxd beside it. Exit status: 0 verified; 1 wrong data or a run that \
      failed; 64 wrong command line.
      """)

  @OptionGroup var comparison: Comparison

  @Option(help: ArgumentHelp("Processes that share the memory, 1 to 512.", valueName: "n"))
  var processes = 1

  @Option(
    help: ArgumentHelp(
      "Memory of all processes together, in bytes or with K, M, G: 64K at least for each, 16G at most. "
        + "A trace brings its own.", valueName: "size"),
    transform: ByteSize.init(parsing:))
  var memory = ByteSize(bytes: 64 << 20)

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "What the link carries, in millions of bytes a second, 0 for no limit; several may be given.",
      valueName: "rate"))
  var rateMbS: [Int] = [125]

  @Option(help: ArgumentHelp("MTU of the links, 1500 or 9000, say.", valueName: "bytes"))
  var mtu = 9000

  @Option(help: ArgumentHelp("Runs of each strategy at each rate, 1 to 101.", valueName: "n"))
  var runs = 5

  @Option(
    help: ArgumentHelp(
      "The part of their work, filling memory aside, after which programs move: 0 to below 1.",
      valueName: "part"))
  var stopAt = 0.4

  @Option(help: ArgumentHelp("How often programs do their work, 1 to 1000.", valueName: "n"))
  var rounds = 1

  @Option(
    help: ArgumentHelp(
      "Arithmetic besides the use of memory, in microseconds: at each step, or for each 4000 instructions "
        + "of a trace; 0 to 100. Quicksort has none.", valueName: "us"))
  var workUs = 0.0

  @Option(help: ArgumentHelp("Seed of the data and of the order of accesses.", valueName: "n"))
  var seed: UInt64 = 1

  @Option(
    help: ArgumentHelp("Ends a run that takes so many seconds, 1 to 86400.", valueName: "seconds"))
  var timeout = 600

  @Flag(help: "Print one JSON object for each strategy and rate.")
  var json = false

  func validate() throws {
    guard (1...512).contains(processes) else {
      throw ValidationError("--processes \(processes) is not allowed; give 1 to 512")
    }
    guard memory.bytes <= 16 << 30, memory.bytes / UInt64(processes) >= 65536 else {
      throw ValidationError(
        "--memory \(memory) for \(processes) processes is not allowed; give 64K at least for each,"
          + " and 16G at most")
    }
    guard !rateMbS.isEmpty else { throw ValidationError("--rate-mb-s needs a value") }
    for rate in rateMbS where !(0...12_500).contains(rate) {
      throw ValidationError("--rate-mb-s \(rate) is not allowed; give 0 to 12500")
    }
    guard (Wire.minMTU...Wire.maxMTU).contains(mtu) else {
      throw ValidationError("--mtu must be \(Wire.minMTU) to \(Wire.maxMTU)")
    }
    guard (1...101).contains(runs) else { throw ValidationError("--runs must be 1 to 101") }
    guard stopAt >= 0, stopAt < 1 else {
      throw ValidationError("--stop-at must be 0 to below 1")
    }
    guard (1...1000).contains(rounds) else { throw ValidationError("--rounds must be 1 to 1000") }
    guard workUs >= 0, workUs <= 100 else { throw ValidationError("--work-us must be 0 to 100") }
    guard (1...86_400).contains(timeout) else {
      throw ValidationError("--timeout must be 1 to 86400 seconds")
    }
  }

  func run() throws {
    do { try measure() } catch let error as ExitCode { throw error } catch {
      printLine("memx-bench: \(error)", to: 2)
      throw ExitCode.failure
    }
  }

  /// What the figures go by: sorts and others in several processes by their number.
  private var name: String {
    var name = comparison.workload.rawValue
    if let trace = comparison.trace {
      name = String(trace.split(separator: "/").last ?? "trace")
      if name.hasSuffix(".trace") { name.removeLast(6) }
    }
    return comparison.workload == .quicksort || processes > 1 ? "\(name)-\(processes)" : name
  }

  private func measure() throws {
    let source = PostcopySource(
      kind: comparison.workload,
      parameters: MovableParameters(
        pages: Int(memory.bytes) / processes / pageBytes, seed: seed, rounds: rounds,
        spin: Spin.iterations(us: workUs)),
      processes: processes, trace: try comparison.trace.map(readTrace), stopAt: stopAt)
    let pages = try source.pages() * processes
    let figures = MemoryFigures.current
    if let why = Self.refusal(pages: pages, availableBytes: figures.availableBytes) {
      throw RunFailure(why)
    }
    let bed = try PostcopyBed(mtu: mtu, pages: pages)
    let stopped = try fill(source, pages: pages)
    try bed.checkServer()
    try compare(PostcopyRun(stopped: stopped, tracePath: comparison.trace, timeout_s: timeout), bed)
  }

  /// Why a region of so many pages does not fit, nil when it does: the source's copy, another for what is
  /// touched and when, the server's and the target's.
  static func refusal(pages: Int, availableBytes: UInt64) -> String? {
    let wanted = UInt64(pages * pageBytes) * 4
    guard wanted > availableBytes else { return nil }
    return "\(ByteSize(bytes: wanted)) are needed for both sides and the server, and"
      + " \(ByteSize(bytes: availableBytes)) are available: take a smaller --memory"
  }

  /// Runs the programs up to the stop and has their pages stored at the server.
  private func fill(_ source: PostcopySource, pages: Int) throws -> StoppedPrograms {
    let memory = try MappedMemory(pages: pages, hugePages: false)
    var bar = ProgressBar(label: "\(name) at the source")
    defer { bar.finish() }
    bar.show(0)
    var stopped = try source.run(
      in: memory.base,
      wantsOrder: comparison.tells(.lru)
    ) { bar.show(Double($0) / Double(processes)) }
    var client = RmapClient(
      try EthernetPort(PostcopyBed.fillEnd, mtu: 0), link: PostcopyBed.fillEnd, queueDepth: 128,
      region: RegionName(PostcopyBed.region)!, token: .none, server: .broadcast,
      giveUp_ns: 10_000_000_000, busyPoll_us: 50)
    _ = try client.attach()
    let start_ns = monotonic_ns()
    try client.store(memory.base, pages: pages)
    stopped.preparation_ns = monotonic_ns() - start_ns
    client.detach()
    return stopped
  }

  /// Moves the programs once to see in which order they touch their pages.
  private func recordTouches(_ run: PostcopyRun, _ bed: PostcopyBed) throws -> [Extent] {
    var bar = ProgressBar(label: "\(name): recording the order of touches")
    defer { bar.finish() }
    return try run.move(
      bed, strategy: "demand-only", order: [], isComplete: false, recordsTouches: true
    ) { bar.show($0) }.touches
  }

  /// Has all strategies at all rates, and runs that stay, take turns, and prints what they come to.
  private func compare(_ run: PostcopyRun, _ bed: PostcopyBed) throws {
    let cases = rateMbS.flatMap { rate in comparison.strategy.map { (rate: rate, name: $0) } }
    var moves = [[PostcopyFigures]](repeating: [], count: cases.count)
    var stays_ns: [UInt64] = []
    let touches = try comparison.tells(.touched) ? recordTouches(run, bed) : []
    for round in 1...runs {
      var bar = ProgressBar(label: "\(name) run \(round)/\(runs) without a move")
      stays_ns.append(try run.stay { bar.show($0) })
      bar.finish()
      for (index, (rate, name)) in cases.enumerated() {
        try bed.limit(mb_s: rate)
        let order =
          switch comparison.told(Strategy(name)!) {
          case nil: [Extent]()
          case .lru: run.stopped.order
          case .touched: touches
          }
        var bar = ProgressBar(
          label: "\(self.name) run \(round)/\(runs) \(name)" + (rate > 0 ? " \(rate) MB/s" : ""))
        moves[index].append(
          try run.move(
            bed, strategy: name, order: order,
            isComplete: name.prefix { $0 != "+" } != "demand-only"
          ) { bar.show($0) })
        bar.finish()
      }
    }
    var table = PostcopyReport.columns
    for (index, (rate, strategy)) in cases.enumerated() {
      let report = PostcopyReport(
        workload: name, strategy: strategy, order: comparison.told(Strategy(strategy)!),
        rate_mb_s: rate, mtu: mtu, stopped: run.stopped, runs: moves[index], stays_ns: stays_ns)
      if json { printLine(report.json) } else { table.add(report.row) }
    }
    guard !json else { return }
    printLine(
      "\(name): \(run.stopped.regionPages) pages, \(run.stopped.touchedPages) of them touched after the move,"
        + " MTU \(mtu), preparation \(decimal(Double(run.stopped.preparation_ns) / 1e6, places: 1)) ms,"
        + " without a move \(decimal(median(stays_ns.map { Double($0) / 1e6 }), places: 1)) ms")
    for line in table.lines { printLine(line) }
  }
}
