// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Foundation
import Lab
import SystemPackage

struct BenchQEMU: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench-qemu",
    abstract: "Measures QEMU's own post-copy of a guest that touches its memory.",
    discussion: """
      A guest fills its memory, is moved by QEMU's migrate with postcopy-ram, and with \
      postcopy-preempt as well, and touches its memory while it moves. Runs are interleaved; each \
      figure is the median over them. A run takes about ten seconds.
      """)

  @Option(
    help: ArgumentHelp(
      "The link's rate, in 10⁶ bytes a second, 0 for no limit; may be given several times.",
      valueName: "MB/s"))
  var rateMbS: [Int] = [50]

  @Option(help: ArgumentHelp("The memory that the guest touches.", valueName: "MiB"))
  var memoryMib = 64

  @Option(
    help: ArgumentHelp(
      "The least time from one touch to the next; a page takes 82 µs at 50 MB/s.",
      valueName: "µs"))
  var stepUs = 100

  @Option(
    parsing: .upToNextOption,
    help: "The orders of touching.")
  var patterns: [TouchPattern] = TouchPattern.allCases

  @Option(help: "How often each case runs.")
  var runs = 3

  @Option(help: "The guest's kernel: 6.1 or 6.12.")
  var kernel = KernelSeries.v6_12

  @Flag(help: "Print one JSON object a line.")
  var json = false

  @Option(help: ArgumentHelp("Keep the logs there.", valueName: "dir"))
  var keepLogs: String?

  func validate() throws {
    for rate in rateMbS { try Self.check("--rate-mb-s", rate, in: 0...10_000) }
    try Self.check("--memory-mib", memoryMib, in: 4...2048)
    try Self.check("--step-us", stepUs, in: 0...10_000)
    try Self.check("--runs", runs, in: 1...100)
  }

  private static func check(_ name: String, _ value: Int, in range: ClosedRange<Int>) throws {
    guard range.contains(value) else {
      throw ValidationError(
        "\(name) \(value) is not allowed; give \(range.lowerBound) to \(range.upperBound)")
    }
  }

  func run() async throws {
    var benchmark = PostCopyBenchmark()
    benchmark.rates_mb_s = rateMbS
    benchmark.memory_mib = memoryMib
    benchmark.step_us = stepUs
    benchmark.patterns = patterns
    benchmark.runs = runs
    let chosen = benchmark
    let lines = try await Interruption.cancelling {
      await Result {
        try await chosen.run(Lab(), on: kernel, logs: keepLogs.map { FilePath($0) }) { line in
          FileHandle.standardError.write(Data("\(line.text)\n".utf8))
        }
      }
    }.get()
    if json {
      for line in lines { print(line.json) }
    } else {
      print(PostCopyBenchmark.table(lines))
    }
  }
}

extension TouchPattern: ExpressibleByArgument {}
