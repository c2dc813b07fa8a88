// SPDX-License-Identifier: Apache-2.0
import Lab
import Testing

@Suite("Format")
struct FormatTests {
  @Test("all Swift sources are as the one configuration says")
  func sourcesAreFormatted() async throws {
    let lint = try await Command.outcome(
      ["swift", "format", "lint", "--strict", "--recursive", "Sources", "Tests", "Package.swift"],
      in: Repository.root)
    #expect(lint.succeeded, "\(lint.tail(lines: 40))")
  }
}
