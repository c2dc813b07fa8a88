// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Foundation
import Lab
import Synchronization
import SystemPackage

struct BenchXen: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench-xen",
    abstract: "Compares moves of a Xen guest: post-copy by each strategy, and stop-and-copy.",
    discussion: """
      In the guest a program goes through its memory, reading or writing. Two Xen hosts are booted \
      once; then a guest of each size moves there and back. Emulated, hosts and guest are there after \
      a minute, and a move takes half a minute to two; everything is \(XenBenchmark().cases.count) \
      moves, three quarters of an hour. Lines are printed as cases end; one with rate_mb_s 0 is the move with no limit \
      from which the link's rate follows.
      """)

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("The guest's memory, one or more sizes.", valueName: "MiB"))
  var memory = XenBenchmark().memory_mib

  @Option(
    parsing: .upToNextOption,
    help: "How much memory the program uses: a quarter, or most of what there is.")
  var workingSet = XenMove.WorkingSet.allCases

  @Option(parsing: .upToNextOption, help: "What the program does.")
  var access = XenMove.Access.allCases

  @Option(
    help: ArgumentHelp(
      "The least time from one page of the program to the next; a page takes about 1000 µs over an "
        + "emulated link.", valueName: "µs"))
  var stepUs = 0

  @Option(
    help: ArgumentHelp(
      "Bounds what the network between the hosts carries, 1 to 1000; 0 for as much as it can. "
        + "[default: a quarter of what stop-and-copy carries with no limit, which is measured first]",
      valueName: "MB/s"))
  var rateMbS: Int?

  @Option(
    parsing: .upToNextOption,
    help:
      "How each guest is moved. [default: push, bubble-dual-multi+lru, streams+lru and stop-and-copy; and one guest in every way]"
  )
  var strategy: [XenMoveSystem] = []

  @Option(help: "How often each case runs; medians count.")
  var runs = 1

  @Option(help: "The guest's kernel: 6.1 or 6.12.")
  var kernel = KernelSeries.v6_12

  @Flag(help: "Print one JSON object a line.")
  var json = false

  @Option(
    help: ArgumentHelp(
      "Write the JSON lines and charts of them into this directory.", valueName: "dir"))
  var plots: String?

  @Option(help: ArgumentHelp("Keep the logs there.", valueName: "dir"))
  var keepLogs: String?

  func validate() throws {
    for size in memory where !(64...1024).contains(size) {
      throw ValidationError("--memory \(size) is not allowed; give 64 to 1024")
    }
    guard (0...100_000).contains(stepUs) else {
      throw ValidationError("--step-us \(stepUs) is not allowed; give 0 to 100000")
    }
    if let rateMbS, !(0...1000).contains(rateMbS) {
      throw ValidationError("--rate-mb-s \(rateMbS) is not allowed; give 0 to 1000")
    }
    guard (1...100).contains(runs) else {
      throw ValidationError("--runs \(runs) is not allowed; give 1 to 100")
    }
  }

  func run() async throws {
    var benchmark = XenBenchmark()
    benchmark.memory_mib = memory
    benchmark.workingSets = workingSet
    benchmark.accesses = access
    benchmark.step_us = stepUs
    benchmark.rate_mb_s = rateMbS
    if !strategy.isEmpty { benchmark.systems = strategy }
    benchmark.runs = runs
    let chosen = benchmark
    let json = json
    let lines = Mutex<[XenBenchmark.Line]>([])
    let outcome = await Interruption.cancelling {
      await Result {
        try await chosen.run(Lab(), on: kernel, logs: keepLogs.map { FilePath($0) }) { run in
          FileHandle.standardError.write(Data("\(run.text)\n".utf8))
        } eachLine: { line in
          lines.withLock { $0.append(line) }
          // Each as soon as it is known: a run takes long.
          if json { FileHandle.standardOutput.write(Data("\(line.json)\n".utf8)) }
        }
      }
    }
    let measured = lines.withLock { $0 }
    if !json, !measured.isEmpty { print(XenBenchmark.table(measured)) }
    // What was measured is worth having even when the rest failed.
    if let plots, !measured.isEmpty { try await draw(measured, in: FilePath(plots)) }
    try outcome.get()
    if measured.contains(where: { $0.figures == nil }) { throw ExitCode(1) }
  }

  private func draw(_ lines: [XenBenchmark.Line], in directory: FilePath) async throws {
    try FileManager.default.createDirectory(
      atPath: directory.string, withIntermediateDirectories: true)
    let data = directory.appending("postcopy-xen.jsonl")
    try (lines.map(\.json).joined(separator: "\n") + "\n").write(
      toFile: data.string, atomically: true, encoding: .utf8)
    try await Command.run([
      Repository.root.appending("tools/plots/postcopy-xen").string, data.string, directory.string,
    ])
  }
}

extension XenMove.WorkingSet: ExpressibleByArgument {}
extension XenMove.Access: ExpressibleByArgument {}
extension XenMoveSystem: ExpressibleByArgument {}
