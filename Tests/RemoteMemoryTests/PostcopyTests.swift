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
      try self.init(TestNetwork(mtu: mtu), options: options)
    }

    init(_ network: TestNetwork, options: [String] = []) throws {
      self.network = network
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

  /// Waits until a part of the pages has been pushed, for 10 s at most.
  private static func waitForMiddle(of memory: RemoteMemory) throws {
    for _ in 0..<2000 {
      if memory.report.pushed >= 200 { return }
      usleep(5000)
    }
    throw TestFailure("the push does not get on: \(memory.report)")
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
    let status = try bed.server.wait(for: "the end of the session") {
      $0.regions[0].session == nil
    }
    #expect(status.links[0].counters["pages_pushed"] == report.pushed)
    #expect(status.links[0].counters["pages_fetched"] == report.fetched)
  }

  @Test(
    "Every page is right over a wire that loses, doubles, reorders and damages frames",
    arguments: [9000, 1500], ["streams", "push", "demand-only"])
  func badWire(mtu: Int, strategy: String) throws {
    let network = try TestNetwork(mtu: mtu, isJoined: false)
    let seed = UInt64.random(in: 0..<1 << 32)
    let wire = try BadWire(network, seed: seed)
    defer { #expect(throws: Never.self) { try wire.remove() } }
    let bed = try Bed(network)
    let memory = try bed.attach { $0.strategy = strategy }
    let base = try #require(memory.base)
    var slot = 17
    for round in 0..<Self.pages {
      #expect(Self.isRight(base, slot), "slot \(slot), seed \(seed)")
      // What the program has written stays, whatever comes late.
      if round % 4 == 0 {
        (base + slot * Wire.pageBytes).storeBytes(of: 0xABCD, as: UInt64.self)
      }
      slot = (slot + 1) % Self.pages
    }
    try #require(
      try memory.waitUntilComplete(timeout_ms: 60_000), "\(memory.report), seed \(seed)")
    for round in 0..<Self.pages where round % 4 == 0 {
      let slot = (17 + round) % Self.pages
      let word = (base + slot * Wire.pageBytes).load(as: UInt64.self)
      #expect(word == 0xABCD, "slot \(slot), seed \(seed)")
    }
    let (report, counts) = (memory.report, wire.counts)
    #expect(report.lost == 0, "\(report), seed \(seed)")
    #expect(
      counts.lost > 0 && counts.doubled > 0 && counts.overtaken > 0 && counts.damaged > 0,
      "\(counts)")
  }

  /// The server must not take for missing what it has sent before it knew of the post-copy: with a strategy that pushes
  /// nothing it would wait for that for ever.
  @Test("A post-copy ends, though the server hears late of it")
  func lateBegin() throws {
    let network = try TestNetwork(mtu: 9000, isJoined: false)
    let wire = try BadWire(network, .losingFirst(Opcode.begin.rawValue), seed: 0)
    defer { #expect(throws: Never.self) { try wire.remove() } }
    let bed = try Bed(network)
    let memory = try bed.attach { $0.strategy = "demand-only" }
    let base = try #require(memory.base)
    // The next BEGIN is due 20 ms after the one that was lost; until then the program asks for pages.
    try #require(wire.waitForFirstLost())
    for slot in 0..<Self.pages { #expect(Self.isRight(base, slot), "slot \(slot)") }
    try #require(try memory.waitUntilComplete(timeout_ms: 20_000), "\(memory.report)")
    #expect(memory.report.fetched == UInt64(Self.pages))
    #expect(wire.counts.lost == 1)
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

  @Test("A push goes on where it stopped when the link was down", arguments: [1, 10, 60])
  func linkDown(seconds: UInt32) throws {
    let bed = try Bed(mtu: 9000)
    let memory = try bed.attach {
      $0.strategy = "push"
      $0.rate_bytes_s = 20_000_000
    }
    let base = try #require(memory.base)
    #expect(Self.isRight(base, Self.pages - 1))
    try Self.waitForMiddle(of: memory)
    try bed.network.setServerLink(up: false)
    let before = memory.report
    #expect(before.phase == .moving)
    #expect(before.pushed > 0 && before.pushed < UInt64(Self.pages) * 3 / 4, "\(before)")
    sleep(seconds)
    try bed.network.setServerLink(up: true)
    for slot in 0..<Self.pages { #expect(Self.isRight(base, slot), "slot \(slot)") }
    try memory.waitUntilComplete()
    let report = memory.report
    // The server's session lasts 30 s; only then is there a new one.
    #expect(report.sessions == (seconds > 30 ? 2 : 1))
    // What was on its way when the link went down may have come twice, and no more than that.
    #expect(report.alreadyThere <= UInt64(Wire.pushWindow), "\(report)")
  }

  @Test("A restarted server whose arena was kept goes on; one that lost it is an error")
  func serverRestarts() throws {
    let arena = try TemporaryDirectory()
    for isKept in [true, false] {
      let options = isKept ? ["--arena", arena.path] : []
      let bed = try Bed(mtu: 9000, options: options)
      let memory = try bed.attach {
        $0.strategy = "push"
        $0.rate_bytes_s = 20_000_000
      }
      let base = try #require(memory.base)
      #expect(Self.isRight(base, 0))
      try Self.waitForMiddle(of: memory)
      bed.server.signal(SIGKILL)
      _ = bed.server.waitForEnd()
      let again = try MemxdProcess(
        bed.network, ["--memory", "64M", "--region", "vm:16M"] + options)
      if isKept {
        for slot in 0..<Self.pages { #expect(Self.isRight(base, slot), "slot \(slot)") }
        try memory.waitUntilComplete()
        #expect(memory.report.sessions == 2)
        #expect(memory.report.alreadyThere <= UInt64(Wire.pushWindow))
      } else {
        let error = #expect(throws: RemoteMemoryError.self) { try memory.waitUntilComplete() }
        #expect(error?.description.contains("lost") == true)
        #expect(Self.isRight(base, 0))
      }
      #expect(again.pid > 0)
    }
  }

  @Test("Hints that name slots past the end, or twice, do no harm")
  func wildHints() throws {
    let bed = try Bed(mtu: 9000)
    let memory = try bed.attach {
      $0.strategy = "push+lru"
      $0.order = (0..<300).flatMap { index in
        [
          Extent(slot: UInt64(index * 7), count: 30), Extent(slot: 4090, count: 4000),
          Extent(slot: .max, count: .max), Extent(slot: 1 << 40, count: 1),
        ]
      }
    }
    let base = try #require(memory.base)
    for slot in 0..<Self.pages { #expect(Self.isRight(base, slot), "slot \(slot)") }
    try memory.waitUntilComplete()
    #expect(memory.report.alreadyThere == 0)
  }

  @Test("A mapping larger than the region is refused")
  func tooLarge() throws {
    let bed = try Bed(mtu: 9000)
    let name = RegionName("vm")!
    let network = bed.network
    let error = #expect(throws: RemoteMemoryError.self) {
      try inNamespace(network.client) {
        let own = try OwnMemory(pages: UInt64(Self.pages + 1))
        let userfaultfd = try Userfaultfd()
        try userfaultfd.register(address: own.address, length: own.length)
        var table = UserfaultfdTable()
        try table.append(userfaultfd)
        var configuration = RemoteMemoryConfiguration(link: network.clientLink, region: name)
        configuration.mtu = network.mtu
        _ = try RemoteMemory(
          configuration, areas: [Area(address: own.address, pages: own.pages)],
          userfaultfds: table)
      }
    }
    #expect(error?.description.contains("\(Self.pages)") == true, "\(error?.description ?? "")")
  }

  @Test("A client that vanished in the middle of a push leaves the region to the next")
  func clientVanishes() throws {
    let bed = try Bed(mtu: 9000, options: ["--session-timeout-ms", "1000"])
    let first = try bed.attach { $0.rate_bytes_s = 20_000_000 }
    #expect(Self.isRight(try #require(first.base), 9))
    // Silent from now on, its goodbye too.
    try bed.network.setServerLink(up: false)
    first.stop()
    #expect(throws: RemoteMemoryError.self) { try first.waitUntilComplete() }
    _ = try bed.server.wait(for: "the session to expire") { $0.regions[0].session == nil }
    try bed.network.setServerLink(up: true)
    let memory = try bed.attach()
    let base = try #require(memory.base)
    for slot in 0..<Self.pages { #expect(Self.isRight(base, slot), "slot \(slot)") }
    try memory.waitUntilComplete()
    #expect(memory.report.pushed + memory.report.fetched == UInt64(Self.pages))
  }
}
