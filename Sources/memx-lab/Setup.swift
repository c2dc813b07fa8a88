// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Lab

struct Setup: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Fetches kernels and builds what guests boot from, ahead of the first run.")

  @Option(help: "Only for this kernel: 6.1 or 6.12.")
  var kernel: KernelSeries?

  @Flag(help: "Look for newer kernels even if the cache has some.")
  var refresh = false

  func run() async throws {
    let lab = Lab()
    for series in kernel.map({ [$0] }) ?? KernelSeries.allCases {
      _ = try await lab.kernel(series, refresh: refresh)
      _ = try await lab.parts(for: series)
    }
  }
}
