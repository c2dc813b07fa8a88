// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Foundation
import Lab
import SystemPackage

struct BenchSwap: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Compares swap on memx, nbd, AoE and zram in one guest.",
    discussion: "Runs are interleaved; each figure is the median over them.")

  @Option(help: "The guest's kernel: 6.1 or 6.12.")
  var kernel = KernelSeries.v6_12

  @Option(help: "How often each workload runs on each system.")
  var runs = 3

  @Option(help: "Only this workload; may be given several times.")
  var workload: [String] = []

  @Option(help: "Only this system: memx, nbd, aoe or zram; may be given several times.")
  var system: [SwapSystem] = []

  @Flag(help: "Use data that does not compress, for which zram has no room.")
  var incompressible = false

  @Flag(help: "Print one JSON object a line.")
  var json = false

  @Option(help: ArgumentHelp("Keep the logs there.", valueName: "dir"))
  var keepLogs: String?

  func validate() throws {
    guard (1...100).contains(runs) else {
      throw ValidationError("--runs \(runs) is not allowed; give 1 to 100")
    }
    for name in workload where !SwapBenchmark.workloads.contains(name) {
      throw ValidationError(
        "there is no workload ‘\(name)’; there are: "
          + SwapBenchmark.workloads.joined(separator: ", "))
    }
  }

  func run() async throws {
    var benchmark = SwapBenchmark()
    benchmark.runs = runs
    if !workload.isEmpty { benchmark.workloads = workload }
    if !system.isEmpty { benchmark.systems = SwapSystem.allCases.filter(system.contains) }
    benchmark.compressible = !incompressible
    let chosen = benchmark
    let lines = try await Interruption.cancelling {
      await Result {
        try await chosen.run(Lab(), on: kernel, logs: keepLogs.map { FilePath($0) }) { line in
          FileHandle.standardError.write(Data("\(line.text)\n".utf8))
        }
      }
    }.get()
    for line in lines { print(json ? line.json : line.text) }
    guard !json else { return }
    print(
      incompressible
        ? "The data, the same for all systems, does not compress."
        : "The data, the same for all systems, shrinks to a third or less under gzip -1.")
  }
}

extension SwapSystem: ExpressibleByArgument {}
