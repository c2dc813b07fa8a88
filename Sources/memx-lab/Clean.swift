// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Lab

struct Clean: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Removes what dead runs left behind, and with --cache all that setup has made.")

  @Flag(help: "Also remove kernels, modules, guest programs and ramdisks.")
  var cache = false

  func run() async throws {
    try await Namespace.removeLeftovers()
    if cache { try await Lab().cache.clear() }
  }
}
