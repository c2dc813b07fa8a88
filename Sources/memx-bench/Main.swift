// SPDX-License-Identifier: Apache-2.0
import ArgumentParser

@main struct MemxBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "memx-bench",
    abstract: "Measures remote memory: a server by itself, and swap as programs feel it.",
    subcommands: [Rmap.self, Swap.self, SwapWorker.self])
}
