// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import CMemx
import Glibc
import Workloads

/// One of the processes that `memx-bench swap` starts; not for people.
struct SwapWorker: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "swap-worker", abstract: "One process of memx-bench swap.", shouldDisplay: false)

  @Option var workload: WorkloadKind
  @Option var pages: Int
  @Option var passes: Int
  @Option var seed: UInt64
  @Flag var hugePages = false
  @Flag var compressible = false

  func run() throws {
    // Nobody would wait for it without its parent.
    _ = memx_end_with_parent()
    let task = WorkerTask(
      kind: workload, pages: pages, passes: passes, seed: seed, hugePages: hugePages,
      compressible: compressible)
    guard task.run(input: STDIN_FILENO, output: STDOUT_FILENO) else { throw ExitCode(1) }
  }
}
