// SPDX-License-Identifier: Apache-2.0
import ArgumentParser

@main struct MemxLab: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "memx-lab",
    abstract: "Boots guests and puts memx through scenarios.",
    subcommands: [
      Setup.self, List.self, Run.self, BenchSwap.self, BenchQEMU.self, BenchRDMA.self,
      BenchXen.self, Clean.self,
    ])
}
