// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Lab

struct Setup: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Fetches kernels and builds what guests boot from, ahead of the first run.")

  @Option(help: "Only for guests with this kernel, without Xen: 6.1 or 6.12.")
  var kernel: KernelSeries?

  @Flag(help: "Look for newer kernels even if the cache has some.")
  var refresh = false

  @Flag(help: "Only what Xen hosts and guests of the scenarios' own kernel boot from.")
  var xen = false

  func validate() throws {
    if xen, kernel != nil || refresh {
      throw ValidationError("--xen goes with neither --kernel nor --refresh")
    }
  }

  func run() async throws {
    let lab = Lab()
    if xen {
      _ = try await lab.xenParts(for: .v6_1)
      return
    }
    for series in kernel.map({ [$0] }) ?? KernelSeries.allCases {
      _ = try await lab.kernel(series, refresh: refresh)
      _ = try await lab.parts(for: series)
      _ = try await lab.parts(for: series, withRDMA: true)
      if kernel == nil { _ = try await lab.xenParts(for: series) }
    }
  }
}
