// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Console
import Glibc
import Workloads

extension WorkloadKind: ExpressibleByArgument {}

struct Swap: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Runs memory-hungry workloads against whatever swap this machine has.",
    discussion: """
      Workloads:
      \(WorkloadKind.allCases.map { "  \($0.rawValue): \($0.summary)" }.joined(separator: "\n"))

      Every workload verifies its data. Exit status: 0 verified; 1 wrong data, a process that was \
      killed, or not enough memory and swap; 64 wrong command line.
      """)

  @Option(help: "What to run.")
  var workload: WorkloadKind

  @Option(
    help: ArgumentHelp(
      "Memory of all processes together, in bytes or with K, M, G, T: 64K at least for each.",
      valueName: "size"),
    transform: ByteSize.init(parsing:))
  var size: ByteSize

  @Option(help: ArgumentHelp("Processes that share the size, 1 to 512.", valueName: "n"))
  var processes = 1

  @Option(help: ArgumentHelp("How often to do the work, 1 to 1000000.", valueName: "n"))
  var passes = 1

  @Option(help: ArgumentHelp("Seed of the data and of the order of accesses.", valueName: "n"))
  var seed: UInt64 = 1

  @Flag(help: "Let the kernel back the memory with huge pages.")
  var hugePages = false

  @Flag(
    help: """
      Use data that shrinks to a third or less where swap is compressed (zram, zswap); by default it \
      does not shrink.
      """)
  var compressible = false

  @Flag(help: "Run even if memory and swap are too small for the size.")
  var force = false

  @Flag(help: "Print one JSON object.")
  var json = false

  func validate() throws {
    guard (1...512).contains(processes) else {
      throw ValidationError("--processes \(processes) is not allowed; give 1 to 512")
    }
    guard (1...1_000_000).contains(passes) else {
      throw ValidationError("--passes \(passes) is not allowed; give 1 to 1000000")
    }
    guard size.bytes / UInt64(processes) >= 65536 else {
      throw ValidationError(
        "--size \(size) gives each of \(processes) processes less than 64K; give more")
    }
    guard size.bytes < 1 << 46 else {
      throw ValidationError("--size \(size) is more than a process can address; give less")
    }
  }

  func run() throws {
    let memory = MemoryFigures.current
    if !force, let refusal = memory.refusal(of: size.bytes) { try fail(refusal) }
    if memory.swapTotalBytes == 0 {
      printLine("memx-bench: this machine has no swap; this run measures memory alone", to: 2)
    }
    let task = WorkerTask(
      kind: workload, pages: Int(size.bytes) / processes / pageBytes, passes: passes, seed: seed,
      hugePages: hugePages, compressible: compressible)
    do throws(Crew.Failure) {
      let report = try measure(task)
      if json {
        printLine(report.json.line)
      } else {
        for line in report.lines { printLine(line) }
      }
    } catch {
      try fail(error.description)
    }
  }

  private func measure(_ task: WorkerTask) throws(Crew.Failure) -> SwapReport {
    let units = task.kind.units(pages: task.pages, passes: passes) * processes
    var bar = ProgressBar(label: "\(workload.rawValue) \(size)")
    var crew = try Crew(
      Self.program(),
      (0..<processes).map { index in
        [
          "swap-worker", "--workload", workload.rawValue, "--pages", "\(task.pages)",
          "--passes", "\(passes)",
          // Processes sort and store different numbers, and the next seed none of these.
          "--seed", "\(seed &* 1024 &+ UInt64(index))",
        ] + (hugePages ? ["--huge-pages"] : []) + (compressible ? ["--compressible"] : [])
      })
    try crew.prepare()
    let before = SwapTraffic(parsing: (try? readSmallFile("/proc/vmstat")) ?? "")
    let start = monotonicNs()
    defer { bar.finish() }
    let outcomes = try crew.run { bar.show(Double($0) / Double(units)) }
    let end = monotonicNs()
    let after = SwapTraffic(parsing: (try? readSmallFile("/proc/vmstat")) ?? "")
    var all = task
    all.pages *= processes
    return SwapReport(
      task: all, processes: processes, timeNs: end - start, outcomes: outcomes,
      pagesIn: after.pagesIn &- before.pagesIn, pagesOut: after.pagesOut &- before.pagesOut)
  }

  /// This program's path, so that its processes carry its name in ps and dmesg; the kernel's link
  /// to it where the file has been replaced meanwhile.
  private static func program() -> String {
    let link = "/proc/self/exe"
    guard let path = realpath(link, nil) else { return link }
    defer { free(path) }
    return access(path, X_OK) == 0 ? String(cString: path) : link
  }

  private func fail(_ message: String) throws -> Never {
    printLine("memx-bench: \(message)", to: 2)
    if json {
      var object = JSONLine()
      object.add("bench", "swap")
      object.add("case", workload.rawValue)
      object.add("verified", false)
      object.add("error", message)
      printLine(object.line)
    }
    throw ExitCode(1)
  }
}
