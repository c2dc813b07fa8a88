// SPDX-License-Identifier: Apache-2.0
import Glibc
import RMAP
import RemoteMemory
import Synchronization
import TestSupport
import Testing

/// Post-copy of a real region from a real memxd, through real page faults.
@Suite(.serialized) struct PostcopyTests {
  private static let pages = 4096

  /// A server with a full region, whose page in slot s begins with the word `UserClient` gives it.
  private struct Bed {
    let network: TestNetwork
    let server: MemxdProcess

    init(mtu: Int, options: [String] = []) throws {
      network = try TestNetwork(mtu: mtu)
      server = try MemxdProcess(
        network, ["--memory", "64M", "--region", "vm:16M"] + options)
      let source = try UserClient(network, region: "vm", queueDepth: 64)
      #expect(source.attach() == .live)
      let tally = source.write(0..<UInt64(pages), version: 7)
      #expect(tally.done == pages)
      source.detach()
    }

    func attach(
      _ change: (inout RemoteMemoryConfiguration) -> Void = { _ in }
    ) throws -> RemoteMemory {
      var configuration = RemoteMemoryConfiguration(
        link: network.clientLink, region: RegionName("vm")!)
      configuration.mtu = network.mtu
      change(&configuration)
      let wanted = configuration
      return try inNamespace(network.client) { try RemoteMemory(wanted) }
    }
  }

  /// Is the page of a slot as the source wrote it?
  private static func isRight(_ base: UnsafeMutableRawPointer, _ slot: Int) -> Bool {
    UserClient.holds(base + slot * Wire.pageBytes, .version(7), slot: UInt64(slot))
  }

  @Test(
    "Every page comes once, in whatever order a program touches them",
    arguments: [9000, 1500], ["streams+lru", "push", "demand-only", "bubble-dual-multi"])
  func everyPage(mtu: Int, strategy: String) throws {
    let bed = try Bed(mtu: mtu)
    let memory = try bed.attach { $0.strategy = strategy }
    let base = try #require(memory.base)
    #expect(memory.slots == UInt64(Self.pages))
    var slot = 17
    for _ in 0..<Self.pages {
      #expect(Self.isRight(base, slot), "slot \(slot)")
      slot = (slot + 1223) % Self.pages
    }
    try memory.waitUntilComplete()
    let report = memory.report
    #expect(report.phase == .complete)
    #expect(report.lost == 0)
    #expect(report.alreadyThere == 0)
    #expect(report.pushed + report.fetched == UInt64(Self.pages), "\(report)")
    if strategy == "demand-only" { #expect(report.pushed == 0) }
    print(mtu, strategy, report)
  }

  @Test("A page that the program has written is not overwritten")
  func writtenFirst() throws {
    let bed = try Bed(mtu: 9000)
    let memory = try bed.attach { $0.rate_bytes_s = 10_000_000 }
    let base = try #require(memory.base)
    // From the end, where the push comes last.
    for slot in stride(from: Self.pages - 1, to: 0, by: -3) {
      (base + slot * Wire.pageBytes).storeBytes(of: 0xABCD, as: UInt64.self)
    }
    try memory.waitUntilComplete()
    for slot in 0..<Self.pages {
      let word = (base + slot * Wire.pageBytes).load(as: UInt64.self)
      if slot > 0, slot % 3 == (Self.pages - 1) % 3 {
        #expect(word == 0xABCD)
      } else {
        #expect(Self.isRight(base, slot))
      }
    }
  }

  @Test("An unknown strategy is an error that names it")
  func unknownStrategy() throws {
    let bed = try Bed(mtu: 9000)
    let memory = try bed.attach { $0.strategy = "psychic" }
    let error = #expect(throws: RemoteMemoryError.self) { try memory.waitUntilComplete() }
    #expect(error?.description.contains("psychic") == true)
  }
}
