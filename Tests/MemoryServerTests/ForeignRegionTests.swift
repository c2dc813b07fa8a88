// SPDX-License-Identifier: Apache-2.0
import MemoryServer
import RMAP
import TestSupport
import Testing

/// Regions of another domain's frames, which come and go while a server runs.
@Suite struct ForeignRegionTests {
  @Test(arguments: [1500, 9000])
  func pagesAreReadDiscardedAndNotWritten(mtu: Int) throws {
    let bed = try ForeignBed(mtu: mtu)
    let region = try bed.serve("guest", slots: 3000, used: Array(0..<2000))
    let client = try bed.client("guest")
    #expect(client.attach() == .live)
    #expect(client.grant?.slots == 3000)
    #expect(client.grant?.incarnation == bed.generation)
    #expect(client.read(0..<2000, expecting: .version(1)) == .init(done: 2000))
    #expect(client.read(2000..<3000, expecting: .zeros) == .init(done: 1000))
    #expect(client.write(0..<10, version: 2).refused == [.readOnly: 10])
    #expect(client.write(2000..<2010, version: 2).refused == [.readOnly: 10])
    #expect(client.discard(100..<200) == .init(done: 1))
    #expect(client.read(100..<200, expecting: .zeros) == .init(done: 100))
    #expect(client.read(0..<100, expecting: .version(1)) == .init(done: 100))
    #expect(client.read(3000..<3001, expecting: .zeros).refused == [.outOfRange: 1])
    #expect(client.askForWindow().refused == [.noWindow: 1])
    let report = try bed.wait(for: "the discard") { $0.storedPages == 1900 }
    #expect(report.domain == bed.guest.domain)
    #expect(report.slots == 3000)
    #expect(report.incarnation == bed.generation)
    client.detach()
    bed.withdraw(region)
  }

  @Test func onlyTheTokensOwnerAttaches() throws {
    let bed = try ForeignBed()
    let region = try bed.serve("guest", slots: 10, used: [1])
    for token in ["", "another"] {
      let other = try bed.client("guest", token: token)
      #expect(other.attach() == .refused(.denied))
    }
    let client = try bed.client("guest")
    #expect(client.attach() == .live)
    let second = try bed.client("guest")
    // The same address: the guest itself, again.
    #expect(second.attach() == .live)
    bed.withdraw(region)
  }

  @Test func everyPageIsPushedOnceAndTheEndIsTold() throws {
    let bed = try ForeignBed()
    let region = try bed.serve("guest", slots: 3000, used: Array(500..<2500))
    #expect(region.progress.remaining == 2000)
    #expect(!region.progress.isAttached)
    let client = try bed.client("guest")
    #expect(client.attach() == .live)
    let moved = client.move(version: 1)
    #expect(moved.refused == nil)
    #expect(moved.wrong == 0)
    #expect(moved.isAll)
    #expect(moved.slots == Set(500..<2500))
    try bed.wait(for: "the end") { region.progress.hasEnded }
    #expect(region.progress.pushed == 2000)
    #expect(region.progress.fetched == 0)
    #expect(region.progress.remaining == 0)
    bed.withdraw(region)
  }

  @Test func figuresAddUpOverSessions() throws {
    let bed = try ForeignBed()
    let region = try bed.serve("guest", slots: 1000, used: Array(0..<1000))
    let first = try bed.client("guest")
    #expect(first.attach() == .live)
    #expect(first.move(version: 1, count: 100, ending: false).slots.count >= 100)
    first.detach()
    try bed.wait(for: "the detach") { !region.progress.isAttached }
    let before = region.progress
    #expect(before.pushed >= 36, "all but a window has been acknowledged")
    #expect(!before.hasEnded)
    let second = try bed.client("guest")
    #expect(second.attach() == .live)
    #expect(second.move(version: 1).slots.count == 1000)
    try bed.wait(for: "the end") { region.progress.hasEnded }
    #expect(region.progress.pushed == before.pushed + 1000)
    bed.withdraw(region)
  }

  @Test func anUnreadableFrameIsAnErrorAndNeverZeros() throws {
    let bed = try ForeignBed()
    let region = try bed.serve("guest", slots: 600, used: Array(0..<600)) { tree in
      bed.guest.release(tree.frames[77]!)
    }
    let client = try bed.client("guest")
    #expect(client.attach() == .live)
    #expect(client.read(77..<78, expecting: .zeros).refused == [.ioError: 1])
    #expect(client.read(0..<77, expecting: .version(1)) == .init(done: 77))
    let moved = client.move(version: 1, ending: false, timeout_ms: 1500)
    // What was read before need not be pushed; that it is all is never said.
    #expect(moved.wrong == 0)
    #expect(moved.slots.isDisjoint(with: [77]))
    #expect(moved.slots.isSuperset(of: Set(78..<600)))
    #expect(!moved.isAll)
    #expect(region.progress.remaining == 1)
    #expect(bed.server.engineReports[0].counters.ioErrors >= 1)
    bed.withdraw(region)
  }

  @Test func framesAreUnmappedWhenTheRegionGoes() throws {
    let bed = try ForeignBed()
    do {
      let region = try bed.serve("guest", slots: 1000, used: Array(0..<1000))
      #expect(bed.guest.mappedCount == 1000)
      let client = try bed.client("guest", giveUp_ms: 500)
      #expect(client.attach() == .live)
      #expect(client.read(0..<1000, expecting: .version(1)) == .init(done: 1000))
      bed.withdraw(region)
      #expect(client.read(0..<1, expecting: .zeros).done == 0, "its session has ended")
      let late = try bed.client("guest")
      #expect(late.attach() == .refused(.noRegion))
    }
    #expect(bed.guest.mappedCount == 0)
    #expect(bed.server.regionReports.map(\.domain) == [nil])
  }

  @Test func aRegionWithoutASessionGoesAtOnce() throws {
    let bed = try ForeignBed()
    let region = try bed.serve("guest", slots: 10, used: [1])
    #expect(bed.server.withdraw(region))
    #expect(bed.server.regionReports.map(\.domain) == [nil])
  }

  @Test func theEngineSleepsAgainAfterARegionWasTakenFromASession() throws {
    let bed = try ForeignBed()
    let region = try bed.serve("guest", slots: 10, used: [1])
    let client = try bed.client("guest")
    #expect(client.attach() == .live)
    bed.withdraw(region)
    let before = bed.server.engineReports[0]
    let start = ContinuousClock.now
    var after = before
    try bed.wait(for: "three of its heartbeats") {
      after = bed.server.engineReports[0]
      return after.heartbeat >= before.heartbeat + 3
    }
    // An engine that something keeps from sleeping uses all of a core, or what others leave of it.
    let cpu_us = after.cpu_us - before.cpu_us
    let elapsed = ContinuousClock.now - start
    #expect(.microseconds(Int64(cpu_us)) < elapsed / 10, "\(cpu_us) us in \(elapsed)")
  }

  @Test func namesAndSeatsAreLimited() throws {
    let bed = try ForeignBed()
    let first = try bed.serve("a", slots: 10, used: [1])
    #expect(throws: ConfigurationError.self) { try bed.serve("a", slots: 10, used: [1]) }
    #expect(throws: ConfigurationError.self) { try bed.serve("own", slots: 10, used: [1]) }
    let second = try bed.serve("b", slots: 10, used: [1])
    #expect(throws: ConfigurationError.self) { try bed.serve("c", slots: 10, used: [1]) }
    #expect(bed.guest.mappedCount == 2, "what was refused is not mapped")
    bed.withdraw(first)
    let third = try bed.serve("c", slots: 20, used: [2])
    let client = try bed.client("c")
    #expect(client.attach() == .live)
    #expect(client.grant?.slots == 20, "the seat's former region is forgotten")
    #expect(client.read(2..<3, expecting: .version(1)) == .init(done: 1))
    bed.withdraw(second)
    bed.withdraw(third)
  }

  @Test func comingAndGoingDoesNotDisturbOthers() throws {
    let bed = try ForeignBed()
    let own = try bed.client("own")
    #expect(own.attach() == .live)
    for round in 1...10 {
      let region = try bed.serve("guest\(round)", slots: 700, used: Array(0..<700))
      let client = try bed.client("guest\(round)")
      #expect(client.attach() == .live)
      #expect(own.write(0..<256, version: UInt64(round)) == .init(done: 256))
      #expect(client.read(0..<700, expecting: .version(1)) == .init(done: 700))
      bed.withdraw(region)
      #expect(own.read(0..<256, expecting: .version(UInt64(round))) == .init(done: 256))
    }
    #expect(own.counters.attaches == 1)
    #expect(bed.guest.mappedCount == 0)
  }
}
