// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Control

@Suite struct Statuses {
  let memx0 = try! DeviceName(parsing: "memx0")

  @Test func tableForPeople() throws {
    let tree = try MadeUpTree()
    try tree.attach(0)
    try tree.swapTo(0)
    let lines = DeviceStatus.table([try DeviceStatus(memx0, tree.files)])
    #expect(
      lines == [
        "DEVICE  REGION  SERVER             LINK  STATE      SIZE  IN-FLIGHT  SWAP",
        "memx0   swap0   52:54:00:12:34:56  eth0  live   64.0 MiB        700  2.0 MiB used, priority 5",
      ])
  }

  @Test func objectForScripts() throws {
    let tree = try MadeUpTree()
    try tree.attach(0)
    try tree.put("sys/block/memx0/memx/srtt_us", "")
    let line = try DeviceStatus(memx0, tree.files).json().line
    #expect(line.hasPrefix(#"{"schema":1,"device":"memx0","region":"swap0","server":"52:54"#))
    #expect(line.contains(#""size_bytes":67108864,"swap":false,"mtu":9000"#))
    #expect(line.contains(#""srtt_us":null"#))
  }

  @Test func devicesAreInOrderOfNumber() throws {
    let tree = try MadeUpTree()
    for number in [10, 2, 0] { try tree.attach(number) }
    #expect(tree.files.devices().map(\.number) == [0, 2, 10])
  }

  @Test func missingModule() throws {
    let tree = try MadeUpTree(module: false)
    #expect { try tree.files.chosen(nil) } throws: { ($0 as? Failure)?.exit == .notThere }
  }
}

@Suite struct Statistics {
  let memx0 = try! DeviceName(parsing: "memx0")

  private func sample(
    _ timeS: UInt64, reads: UInt64, retransmits: UInt64, latency: String? = nil
  ) -> Sample {
    Sample(
      timeNs: timeS * 1_000_000_000,
      counters: [
        "reads": reads, "writes": 0, "discards": 0, "retransmits": retransmits, "errors": 0,
        "outstanding": 7, "read_latency_us_p50": 90,
      ], latency: latency.map(LatencyTable.init(parsing:)))
  }

  @Test func takesEveryCounter() throws {
    let tree = try MadeUpTree()
    try tree.attach(0)
    let sample = try Sample.take(memx0, tree.files)
    #expect(sample.counters.count == Sample.names.count)
    #expect(sample.json(memx0).line.contains(#""reads":100,"writes":200"#))
    #expect(Sample.table([(memx0, sample)]).count == Sample.names.count + 1)
  }

  @Test func ratesAreASecond() throws {
    let rates = try #require(
      Rates(
        memx0, from: sample(10, reads: 1000, retransmits: 1),
        to: sample(12, reads: 5000, retransmits: 2)))
    let line = rates.json.line
    #expect(line.contains(#""reads_per_s":2000.0"#))
    #expect(line.contains(#""retransmits_per_s":0.5"#))
    #expect(line.contains(#""outstanding":7,"read_latency_us_p50":90,"read_latency_us_p99":null"#))
    #expect(line.contains(#""latency_of":"attachment""#))
    #expect(Rates.header.count == rates.line.count)
  }

  @Test func latencyIsThatOfTheInterval() throws {
    let rates = try #require(
      Rates(
        memx0,
        from: sample(1, reads: 0, retransmits: 0, latency: "read 64 71 1000\nread 128 143 10\n"),
        to: sample(
          2, reads: 0, retransmits: 0,
          latency: "read 64 71 1000\nread 128 143 108\nread 1024 1151 2\nwrite 8 8 1\n")))
    #expect(
      rates.json.line.contains(
        #""read_latency_us_p50":143,"read_latency_us_p99":1151,"write_latency_us_p50":8,"#
          + #""write_latency_us_p99":8"#))
  }

  @Test func aDeviceAttachedAnewHasNoRates() {
    #expect(
      Rates(
        memx0, from: sample(1, reads: 9, retransmits: 0), to: sample(2, reads: 1, retransmits: 0))
        == nil)
  }
}
