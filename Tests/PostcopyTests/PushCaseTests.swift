// SPDX-License-Identifier: Apache-2.0
import Foundation
import Subprocess
import TestSupport
import Testing

/// memx-bench rmap --case push against a real memxd.
@Suite struct PushCase {
  private struct Figures: Decodable {
    let pages: Int
    let pages_per_s: Double
    let failures: Int
    let wrong_pages: Int
    /// Nobody waits for a push.
    let p50_us: Double?
  }

  private func bench(
    _ network: TestNetwork, link: String, _ words: [String] = []
  ) async throws -> (status: TerminationStatus, out: String, err: String) {
    let result = try await Subprocess.run(
      .name("ip"),
      arguments: Arguments(
        ["netns", "exec", network.client, try Bench.path().string, "rmap", "--region", "a"]
          + ["--link", link, "--case", "push", "--verify", "--json"] + words),
      output: .string(limit: 1 << 16), error: .string(limit: 1 << 16))
    return (result.terminationStatus, result.standardOutput, result.standardError)
  }

  @Test(arguments: [1500, 9000])
  func everyPageComesOnce(mtu: Int) async throws {
    let network = try TestNetwork(mtu: mtu)
    let memxd = try MemxdProcess(network, ["--region", "a:8M", "--memory", "8M"])
    let result = try await bench(network, link: network.clientLink)
    try #require(result.status.isSuccess, "\(result.err)")
    let figures = try JSONDecoder().decode(Figures.self, from: Data(result.out.utf8))
    #expect(figures.pages == 2048)
    #expect(figures.wrong_pages == 0)
    #expect(figures.failures == 0)
    #expect(figures.pages_per_s > 0)
    #expect(figures.p50_us == nil)
    // They stay at the server.
    #expect(try memxd.status().regions[0].stored_pages == 2048)
  }

  @Test func oneSidedIsRefused() async throws {
    let network = try TestNetwork(mtu: 1500)
    let result = try await bench(network, link: "rdma:10.0.0.1", ["--one-sided"])
    #expect(result.status == .exited(64))
    #expect(result.err.contains("--one-sided is of reads and writes"), "\(result.err)")
  }
}
