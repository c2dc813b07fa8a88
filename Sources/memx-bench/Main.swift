// SPDX-License-Identifier: Apache-2.0
import ArgumentParser

@main struct MemxBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "memx-bench",
    abstract:
      "Measures remote memory: a server by itself, swap as programs feel it, page faults, and post-copy.",
    subcommands: [
      Rmap.self, Refusals.self, Crowd.self, Swap.self, SwapWorker.self, Userfault.self,
      Postcopy.self, PostcopyServer.self, PostcopyWorker.self, Simulate.self,
    ])
}
