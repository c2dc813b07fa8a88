// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Foundation
import Lab
import SystemPackage

struct BenchRDMA: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench-rdma",
    abstract: "Compares pages over soft-RoCE, one-sided and by messages, with perftest.",
    discussion: "Rounds are interleaved; each figure is the median over them.")

  @Option(help: "The guests' kernel: 6.1 or 6.12.")
  var kernel = KernelSeries.v6_12

  @Option(help: "How often each is measured.")
  var runs = 3

  @Flag(help: "Print one JSON object a line.")
  var json = false

  @Option(help: ArgumentHelp("Keep the logs there.", valueName: "dir"))
  var keepLogs: String?

  func validate() throws {
    guard (1...100).contains(runs) else {
      throw ValidationError("--runs \(runs) is not allowed; give 1 to 100")
    }
  }

  func run() async throws {
    var benchmark = RDMABenchmark()
    benchmark.runs = runs
    let chosen = benchmark
    let lines = try await Interruption.cancelling {
      await Result {
        try await chosen.run(Lab(), on: kernel, logs: keepLogs.map { FilePath($0) }) { line in
          FileHandle.standardError.write(Data("\(line.text)\n".utf8))
        }
      }
    }.get()
    for line in lines { print(json ? line.json : line.text) }
  }
}
