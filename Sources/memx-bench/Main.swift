// SPDX-License-Identifier: Apache-2.0
import ArgumentParser

@main struct MemxBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "memx-bench",
    abstract:
      "Measures remote memory: a server by itself, swap as programs feel it, and page faults.",
    subcommands: [Rmap.self, Swap.self, SwapWorker.self, Userfault.self, Simulate.self])
}
