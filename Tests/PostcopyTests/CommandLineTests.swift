// SPDX-License-Identifier: Apache-2.0
import Prepaging
import Testing

@testable import memx_bench

@Suite struct PostcopyCommandLine {
  @Test(arguments: [
    (["--strategy", "bogus"], "--strategy bogus is unknown: demand-only, push"),
    (["--strategy", "push+mru"], "--strategy push+mru is unknown"),
    (["--rate-mb-s", "12501"], "--rate-mb-s 12501 is not allowed"),
    (["--mtu", "1000"], "--mtu must be"),
    (["--stop-at", "1"], "--stop-at must be 0 to below 1"),
    (["--processes", "0"], "--processes 0 is not allowed"),
    (["--processes", "513"], "--processes 513 is not allowed"),
    (["--memory", "1M", "--processes", "17"], "for 17 processes is not allowed"),
    (["--memory", "17G"], "16G at most"),
    (["--memory", "8Q"], "'8Q' is no size"),
    (["--runs", "0"], "--runs must be 1 to 101"),
    (["--rounds", "0"], "--rounds must be 1 to 1000"),
    (["--work-us", "101"], "--work-us must be 0 to 100"),
    (["--timeout", "0"], "--timeout must be 1"),
    (["--workload", "bogosort"], "'bogosort' is invalid"),
    (["--workload", "trace"], "--trace goes with --workload trace"),
    (["--trace", "x.trace"], "--trace goes with --workload trace"),
  ])
  func isRefusedWithAReason(arguments: [String], reason: String) async throws {
    let result = try await Bench.run(arguments)
    #expect(result.status == 64)
    #expect(result.err.hasPrefix("Error: "))
    #expect(result.err.contains(reason), "\(result.err)")
  }

  @Test func aStrategyIsToldTheOrderThatItIsMadeFor() throws {
    let names = ["push", "push+lru", "replay", "replay+lru"]
    let told = { (order: [String]) in
      let comparison = try Comparison.parse(["--strategy"] + names + order)
      return names.map { comparison.told(Strategy($0)!) }
    }
    #expect(try told([]) == [nil, .lru, nil, .touched])
    #expect(try told(["--order", "lru"]) == [nil, .lru, nil, .lru])
    #expect(try told(["--order", "touched"]) == [nil, .touched, nil, .touched])
  }

  @Test func aTraceThatIsNotThereFails() async throws {
    let result = try await Bench.run(["--workload", "trace", "--trace", "/nowhere/x.trace"])
    #expect(result.status == 1)
    #expect(result.err == "memx-bench: cannot read /nowhere/x.trace: No such file or directory\n")
  }

  @Test func tooMuchMemoryIsRefusedWithTheFigures() {
    #expect(Postcopy.refusal(pages: 1 << 18, availableBytes: 4 << 30) == nil)
    #expect(
      Postcopy.refusal(pages: 1 << 18, availableBytes: (4 << 30) - 1)
        == "4.0 GiB are needed for both sides and the server, and 4.0 GiB are available: take a smaller"
        + " --memory")
  }
}
