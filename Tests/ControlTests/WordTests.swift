// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Control

@Suite struct Words {
  @Test(arguments: ["a", "swap0", "A.b_c-9", String(repeating: "x", count: 31)])
  func regions(text: String) throws { #expect(try Word.region(text) == text) }

  @Test(arguments: ["", "a b", "a/b", "ä", "a=b", String(repeating: "x", count: 32)])
  func notRegions(text: String) {
    #expect(throws: InvalidWord.self) { try Word.region(text) }
  }

  @Test(arguments: ["52:54:00:12:34:56", "FF:FF:FF:FF:FF:FF", "02:00:00:00:00:0a"])
  func servers(text: String) throws {
    #expect(try Word.server(text) == text.lowercased())
  }

  @Test(arguments: [
    "", "52:54:00:12:34", "52:54:00:12:34:5g", "52-54-00-12-34-56", "52:54:00:12:34:56:78",
    "5:54:00:12:34:56", "+2:54:00:12:34:56", "01:00:5e:00:00:01", "00:00:00:00:00:00",
  ])
  func notServers(text: String) {
    #expect(throws: InvalidWord.self) { try Word.server(text) }
  }

  @Test(arguments: [
    "eth0", "enp0s31f6", "vlan.100", "rdma:192.0.2.1", "rdma:192.0.2.1:7", "rdma:2001:db8::1",
    "rdma:[2001:db8::1]", "rdma:[2001:db8::1]:34997", "rdma:",
  ])
  func links(text: String) throws { #expect(try Word.link(text) == text) }

  @Test(arguments: [
    "", "..", "a/b", "a:1", "a b", "abcdefghijklmnop", "rdma:mlx5_0", "rdma:192.0.2.1:",
    "rdma:192.0.2.1:0", "rdma:192.0.2.1:65536", "rdma:192.0.2.1:+1", "rdma:[2001:db8::1",
    "rdma:[2001:db8::1]1", "rdma:192.0.2.1 x", "rdma::1:",
  ])
  func notLinks(text: String) { #expect(throws: InvalidWord.self) { try Word.link(text) } }

  @Test(arguments: ["", "a b", "tab\t", String(repeating: "x", count: 33), "é"])
  func notTokens(text: String) {
    #expect(throws: InvalidWord.self) { try Word.token(text) }
  }

  @Test(arguments: ["0", "513", "-1", "+5", "1e2", "", "128 "])
  func notQueueDepths(text: String) {
    #expect(throws: InvalidWord.self) {
      try Word.number(text, in: 1...512, unit: "requests")
    }
  }

  @Test func intervals() throws {
    #expect(try Word.intervalMs("0.1") == 100)
    #expect(try Word.intervalMs("3600") == 3_600_000)
    for text in ["", "0", "0.09", "3601", "-1", "inf", "0x1", "1e1", "."] {
      #expect(throws: InvalidWord.self) { try Word.intervalMs(text) }
    }
  }

  @Test func refusalsSayWhatIsAllowed() {
    #expect {
      try Word.number("513", in: 1...512, unit: "requests")
    } throws: {
      "\($0)" == "'513' is not allowed; give 1 to 512 requests"
    }
  }

  @Test(arguments: ["memx0", "/dev/memx0"]) func devices(text: String) throws {
    #expect(try DeviceName(parsing: text).path == "/dev/memx0")
  }

  @Test(arguments: ["", "memx", "memx00", "memx-1", "sda", "/dev/sda", "/memx0", "memx4294967296"])
  func notDevices(text: String) {
    #expect(throws: InvalidWord.self) { try DeviceName(parsing: text) }
  }
}
