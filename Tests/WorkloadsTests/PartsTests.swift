// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import Console
@testable import Workloads

@Suite struct Parts {
  @Test func unmixUndoesMix() {
    var random = SplitMix64(seed: 3)
    for _ in 0..<1000 {
      let value = random.next()
      #expect(unmix(mix(value)) == value)
    }
  }

  /// The first outputs for seed 1234567 as the reference implementation prints them.
  @Test func splitMixIsSplitMix() {
    var random = SplitMix64(seed: 1_234_567)
    #expect(
      (0..<3).map { _ in random.next() } == [
        6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
      ])
  }

  /// Frequencies of the first ranks against the definition, 1/k^s over their sum.
  @Test func zipfHasItsSkew() {
    let count = 1000
    let zipf = Zipf(count: count, exponent: 0.99)
    var random = SplitMix64(seed: 5)
    var seen = [Int](repeating: 0, count: count + 1)
    let draws = 400_000
    for _ in 0..<draws { seen[zipf.next(&random)] += 1 }
    let total = (1...count).reduce(0.0) { $0 + pow(Double($1), -0.99) }
    for rank in [1, 2, 3, 10, 50] {
      let expected = Double(draws) * pow(Double(rank), -0.99) / total
      // Five standard deviations of a binomial count: a right sampler fails once in millions.
      #expect(abs(Double(seen[rank]) - expected) < 5 * expected.squareRoot())
    }
    #expect(seen[0] == 0)
  }

  @Test func messagesSurviveThePipeInPieces() throws {
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    defer { close(ends[0]) }
    var outcome = WorkerOutcome()
    outcome.fillNs = 11
    outcome.workNs = 22
    outcome.verifyNs = 33
    outcome.touches = 44
    for ns in [1000, 2000, 2000, 5_000_000] as [UInt64] { outcome.latency.record(ns) }
    #expect(WorkerMessage.progress(77).write(to: ends[1]))
    #expect(WorkerMessage.done(outcome).write(to: ends[1]))
    #expect(WorkerMessage.failed("wrong data: é").write(to: ends[1]))
    close(ends[1])
    var bytes: [UInt8] = []
    var messages: [WorkerMessage] = []
    var byte: UInt8 = 0
    while read(ends[0], &byte, 1) == 1 {
      bytes.append(byte)
      messages += WorkerMessage.take(from: &bytes)
    }
    #expect(bytes.isEmpty)
    try #require(messages.count == 3)
    guard case .progress(77) = messages[0], case .done(let taken) = messages[1],
      case .failed("wrong data: é") = messages[2]
    else {
      Issue.record("messages came out as \(messages)")
      return
    }
    #expect(taken.fillNs == 11 && taken.workNs == 22 && taken.verifyNs == 33)
    #expect(taken.touches == 44 && taken.latency.count == 4)
    #expect(taken.latency.percentileUs(50) == outcome.latency.percentileUs(50))
    #expect(taken.latency.percentileUs(99) == outcome.latency.percentileUs(99))
  }

  @Test func latencyKeepsTwoDigits() throws {
    var latency = FaultLatency()
    #expect(latency.percentileUs(50) == nil && latency.longestUs == nil)
    for us in 1...1000 as ClosedRange<UInt64> { latency.record(us * 1000) }
    #expect(abs(try #require(latency.percentileUs(50)) - 500) < 5)
    #expect(abs(try #require(latency.percentileUs(99)) - 990) < 10)
    latency.record(.max)
    #expect(try #require(latency.longestUs) >= 1e9)
  }

  @Test func refusesWhatDoesNotFit() {
    let memory = MemoryFigures(
      parsing: "MemTotal: 9 kB\nMemAvailable:   1024 kB\nSwapTotal:  4096 kB\nSwapFree: 2048 kB\n")
    #expect(memory.swapTotalBytes == 4 << 20)
    #expect(memory.refusal(of: 3 << 20) == nil)
    let refusal = memory.refusal(of: 3 << 20 + 1)
    #expect(refusal?.contains("1.0 MiB of memory are available and 2.0 MiB of swap") == true)
    #expect(refusal?.contains("--force") == true)
  }

  @Test func readsSwapTraffic() {
    let traffic = SwapTraffic(parsing: "nr_free_pages 5\npswpin 12\npswpout 34\npswpinx 9\n")
    #expect(traffic.pagesIn == 12 && traffic.pagesOut == 34)
  }

  @Test(arguments: [
    (SIGKILL, "want of memory and swap"), (SIGBUS, "could not be read back from swap"),
    (SIGSEGV, "signal 11"), (3 << 8, "exit status 3"), (0, "ended early"),
  ])
  func deathsAreExplained(status: Int32, words: String) {
    #expect(
      Crew.judge(status, "process 1 of 2", nil, done: false)?.description.contains(words) == true)
  }

  @Test func lastWordsComeFirst() {
    #expect(
      Crew.judge(1 << 8, "process 1 of 1", "wrong data: page 3", done: false)?.description
        == "process 1 of 1: wrong data: page 3")
    #expect(Crew.judge(0, "process 1 of 1", nil, done: true) == nil)
  }
}
