// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Console
import Prepaging
import RMAP
import Simulation
import Workloads

struct Simulate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Simulates the post-copy of many guests, and compares prepaging strategies.",
    discussion: """
      The server's and the client's own code run against a modelled network, guests' programs against \
      modelled processors; the same options give the same figures on every machine. Each guest has its \
      memory at the server when it begins, and all guests share the server's link.

      Workloads:
      \(MovableKind.allCases.map { "  \($0.rawValue): \($0.summary)" }.joined(separator: "\n"))

      Quicksort, hash and chase are run once to see which pages they need, and all guests then run \
      the same; of the others each guest has its own, from its own seed.
      """)

  @OptionGroup var comparison: Comparison

  @Option(
    help: ArgumentHelp("Programs in each guest, which share its memory: 1 to 512.", valueName: "n"))
  var processes = 1

  @Option(
    help: ArgumentHelp(
      "Memory of each guest, in bytes or with K, M, G, T: 64K at least for each program, 1T at most; "
        + "16G at most for what has to be run, and for strategies with +lru.", valueName: "size"),
    transform: ByteSize.init(parsing:))
  var memory = ByteSize(bytes: 64 << 20)

  @Option(help: ArgumentHelp("Guests that moved at the same moment, 1 to 4096.", valueName: "n"))
  var guests = 1

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "What the link carries each way, in millions of bytes a second, 1 to 12500; several may be given.",
      valueName: "rate"))
  var rateMbS: [Int] = [125]

  @Option(
    help: ArgumentHelp(
      "One way, hosts included, in microseconds, 0 to 1000000.", valueName: "us"))
  var latencyUs = 30

  @Option(help: ArgumentHelp("Frames lost, per cent, 0 to 50.", valueName: "percent"))
  var loss = 0.0

  @Option(help: ArgumentHelp("MTU of the link, 1416 to 9000.", valueName: "bytes"))
  var mtu = 9000

  @Option(help: ArgumentHelp("Processor cores of each guest, 1 to 512.", valueName: "n"))
  var cores = 2

  @Option(
    help: ArgumentHelp(
      "How long a step of a program takes, a page or two of work; for a trace, 3000 instructions: in "
        + "microseconds, 0.001 to 1000000.", valueName: "us"))
  var stepUs = 5.0

  @Option(
    help: ArgumentHelp(
      "The part of their work, filling memory aside, after which programs have moved: 0 to below 1.",
      valueName: "part"))
  var stopAt = 0.4

  @Option(help: ArgumentHelp("How often programs do their work, 1 to 1000.", valueName: "n"))
  var rounds = 1

  @Option(
    help: ArgumentHelp(
      "Seed of the order of accesses and of what the network does by chance.", valueName: "n"))
  var seed: UInt64 = 1

  @Option(
    help: ArgumentHelp(
      "Ends the simulation after so many simulated seconds; by default when every page has come and every "
        + "program is done.", valueName: "seconds"))
  var untilS: Double?

  @Flag(help: "Print one JSON object for each strategy and rate.")
  var json = false

  private var pages: Int { Int(memory.bytes / UInt64(Wire.pageBytes)) }

  func validate() throws {
    guard (1...512).contains(processes) else {
      throw ValidationError("--processes \(processes) is not allowed; give 1 to 512")
    }
    guard memory.bytes <= 1 << 40, memory.bytes / UInt64(processes) >= 65536 else {
      throw ValidationError(
        "--memory \(memory) for \(processes) programs is not allowed; give 64K at least for each,"
          + " and 1T at most")
    }
    guard (1...4096).contains(guests) else {
      throw ValidationError("--guests \(guests) is not allowed; give 1 to 4096")
    }
    guard memory.bytes * UInt64(guests) <= 1 << 42 else {
      throw ValidationError("--guests \(guests) of \(memory) are more than 4T together")
    }
    guard !rateMbS.isEmpty else { throw ValidationError("--rate-mb-s needs a value") }
    if memory.bytes > 16 << 30 {
      if let name = comparison.strategy.first(where: { Strategy($0)!.usesOrder }) {
        throw ValidationError("--strategy \(name) needs --memory of 16G at most")
      }
      if [.quicksort, .hash, .chase].contains(comparison.workload) {
        throw ValidationError(
          "--workload \(comparison.workload.rawValue) needs --memory of 16G at most")
      }
    }
    for rate in rateMbS where !(1...12_500).contains(rate) {
      throw ValidationError("--rate-mb-s \(rate) is not allowed; give 1 to 12500")
    }
    guard (0...1_000_000).contains(latencyUs) else {
      throw ValidationError("--latency-us must be 0 to 1000000")
    }
    guard loss >= 0, loss <= 50 else { throw ValidationError("--loss must be 0 to 50") }
    guard (Wire.minMTU...Wire.maxMTU).contains(mtu) else {
      throw ValidationError("--mtu must be \(Wire.minMTU) to \(Wire.maxMTU)")
    }
    guard (1...512).contains(cores) else { throw ValidationError("--cores must be 1 to 512") }
    guard stepUs >= 0.001, stepUs <= 1_000_000 else {
      throw ValidationError("--step-us must be 0.001 to 1000000")
    }
    guard stopAt >= 0, stopAt < 1 else {
      throw ValidationError("--stop-at must be 0 to below 1")
    }
    guard (1...1000).contains(rounds) else { throw ValidationError("--rounds must be 1 to 1000") }
    if let untilS, !(untilS > 0 && untilS <= 1_000_000) {
      throw ValidationError("--until-s must be above 0 and 1000000 at most")
    }
  }

  func run() throws {
    let bed = try SimulationBed(self)
    var table = SimulateReport.columns
    for rate in rateMbS {
      for name in comparison.strategy {
        let report = bed.run(Strategy(name)!, rate_mb_s: rate)
        if json { printLine(report.json) } else { table.add(report.row) }
        if let failure = report.failure {
          printLine("memx-bench: \(name): \(failure)", to: 2)
          throw ExitCode.failure
        }
      }
    }
    if !json { for line in table.lines { printLine(line) } }
  }
}
