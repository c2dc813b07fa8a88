// SPDX-License-Identifier: Apache-2.0
import Daemon
import Glibc
import RMAP
import TestSupport
import Testing

/// What memxd makes of XenStore, from the order to the end.
@Suite struct XenRegionsTests {
  @Test func fromTheOrderToTheEnd() throws {
    let bed = try XenBed()
    bed.ask()
    try bed.work()
    #expect(bed["state"] == "waiting")
    #expect(try bed.client().attach() == .refused(.noRegion))

    bed.publish()
    try bed.work()
    #expect(bed["state"] == "serving")
    #expect(bed["error"] == "")
    #expect((bed["pages"], bed["remaining"]) == ("500", "500"))
    #expect(bed.server.regionReports.map(\.domain) == [7])
    #expect(try bed.client(token: "made up").attach() == .refused(.denied))
    let client = try bed.client()
    #expect(client.attach() == .live)
    #expect(client.grant?.incarnation == 0x61)
    #expect(client.read(0..<50, expecting: .version(0x61)) == .init(done: 50))
    let moved = client.move(version: 0x61)
    #expect(moved.isAll && moved.wrong == 0)
    try bed.work(until: "the end") { bed["state"] == "complete" }
    #expect((bed["pushed"], bed["fetched"], bed["remaining"]) == ("500", "0", "0"))

    bed.store.erase(XenBed.serve)
    try bed.work()
    #expect(bed.server.regionReports.isEmpty)
    #expect(bed.guest.mappedCount == 0)
    #expect(bed.store.tree(XenBed.serve).isEmpty, "what was removed stays removed")
  }

  @Test func progressIsWrittenOnceASecondAtMost() throws {
    let bed = try XenBed()
    bed.ask()
    bed.publish()
    try bed.work()
    let client = try bed.client()
    #expect(client.attach() == .live)
    _ = client.move(version: 0x61, count: 100, ending: false)
    try bed.work(until: "progress") { (Int(bed["pushed"] ?? "") ?? 0) > 0 }
    let (pushed, writes) = (Int(bed["pushed"]!)!, bed.store.writes.count)
    client.detach()
    let again = try bed.client()
    #expect(again.attach() == .live)
    _ = again.move(version: 0x61, count: 100, ending: false)
    // Nine tenths of a second.
    for _ in 0..<90 {
      try bed.work(after_ns: 10_000_000)
      usleep(2000)
    }
    #expect(bed.store.writes.count == writes)
    try bed.work(until: "more") { Int(bed["pushed"]!)! > pushed }
  }

  @Test func theRootMayComeFirst() throws {
    let bed = try XenBed()
    bed.publish()
    bed.ask()
    try bed.work()
    #expect(bed["state"] == "serving")
  }

  @Test func aServerThatStartsAgainGoesOn() throws {
    let bed = try XenBed()
    bed.ask()
    bed.publish()
    try bed.work()
    let client = try bed.client()
    #expect(client.attach() == .live)
    _ = client.move(version: 0x61, count: 200, ending: false)
    client.detach()
    try bed.work(until: "progress") { (Int(bed["pushed"] ?? "") ?? 0) > 100 }
    let pushed = Int(bed["pushed"]!)!

    try bed.restart()
    try bed.work()
    #expect(bed["state"] == "serving")
    let again = try bed.client()
    #expect(again.attach() == .live)
    #expect(again.grant?.incarnation == 0x61, "the same store")
    #expect(again.move(version: 0x61).isAll)
    try bed.work(until: "the end") { bed["state"] == "complete" }
    #expect(Int(bed["pushed"]!)! == pushed + 500)

    // What is complete is not mapped again.
    try bed.restart()
    try bed.work()
    #expect(bed["state"] == "complete")
    #expect(bed.guest.mappedCount == 0)
    #expect(bed.server.regionReports.isEmpty)
  }

  @Test func aDomainThatGoesTakesItsRegionWithIt() throws {
    let bed = try XenBed()
    bed.ask()
    bed.publish()
    try bed.work()
    let client = try bed.client()
    #expect(client.attach() == .live)
    bed.guest.destroy()
    bed.store.release(XenBed.domain)
    try bed.work()
    #expect(bed["state"] == "failed")
    #expect(bed["error"] == "the domain is gone")
    #expect(bed.guest.mappedCount == 0)
    #expect(client.read(0..<1, expecting: .version(0x61)).done == 0)
  }

  @Test func aDomainThatGoesAfterTheEndHasNotFailed() throws {
    let bed = try XenBed()
    bed.ask()
    bed.publish()
    try bed.work()
    let client = try bed.client()
    #expect(client.attach() == .live)
    _ = client.move(version: 0x61)
    try bed.work(until: "the end") { bed["state"] == "complete" }
    // The toolstack removes the domain's home first.
    bed.store.erase("/local/domain/7")
    try bed.work()
    #expect(bed["state"] == "complete")
    #expect(bed.guest.mappedCount == 0)
    bed.store.release(XenBed.domain)
    try bed.work()
    #expect(bed["state"] == "complete")
    // A new order is another matter.
    bed.ask(region: "xen-7-def")
    try bed.work()
    #expect(bed["error"] == "the domain is gone")
    #expect(bed.guest.mappedCount == 0)
  }

  @Test func aGuestThatTakesItsFramesBackIsNotServed() throws {
    let bed = try XenBed()
    bed.ask()
    bed.publish()
    try bed.work()
    let client = try bed.client()
    #expect(client.attach() == .live)
    bed.store.erase(XenBed.root)
    try bed.work()
    #expect(bed["state"] == "waiting")
    #expect(bed.guest.mappedCount == 0)
    #expect(client.read(0..<1, expecting: .version(0x61)).done == 0)

    bed.publish(pages: 100..<400, generation: 0x62)
    try bed.work()
    #expect((bed["state"], bed["pages"]) == ("serving", "300"))
    let next = try bed.client()
    #expect(next.attach() == .live)
    #expect(next.grant?.incarnation == 0x62)
    #expect(next.read(100..<400, expecting: .version(0x62)) == .init(done: 300))
    #expect(next.read(0..<100, expecting: .zeros) == .init(done: 100))
  }

  @Test func aSecondOrderReplacesTheFirst() throws {
    let bed = try XenBed()
    bed.ask()
    bed.publish()
    try bed.work()
    bed.ask(region: "xen-7-def", token: "other")
    try bed.work()
    #expect(bed["state"] == "serving")
    #expect(bed.server.regionReports.map(\.name.description) == ["xen-7-def"])
    #expect(bed.guest.mappedCount == 500)
    #expect(try bed.client().attach() == .refused(.noRegion))
    #expect(try bed.client(region: "xen-7-def", token: "other").attach() == .live)
  }

  @Test(arguments: [
    ("", "secret", "'' is no region's name"),
    ("a/b", "secret", "'a/b' is no region's name"),
    ("a", "", "its token has 0 bytes; 1 to 32 are allowed"),
    ("a", String(repeating: "x", count: 33), "its token has 33 bytes"),
  ])
  func ordersThatCannotBe(region: String, token: String, message: String) throws {
    let bed = try XenBed()
    bed.publish()
    bed.ask(region: region, token: token)
    try bed.work()
    #expect(bed["state"] == "failed")
    #expect(bed["error"]?.contains(message) == true, "\(bed["error"] ?? "none")")
    #expect(bed.guest.mappedCount == 0)
  }

  @Test(arguments: ["", "12", "12 34 56", "zz 1", " 1 2", "1 2 ", "-1 2", "0x10 1"])
  func rootsThatAreNone(root: String) throws {
    let bed = try XenBed()
    bed.ask()
    bed.store.put(XenBed.root, root)
    try bed.work()
    #expect(bed["state"] == "failed")
    #expect(bed["error"]?.hasPrefix("the guest says \"\(root)\"") == true)
    // The guest does better.
    bed.publish()
    try bed.work()
    #expect((bed["state"], bed["error"]) == ("serving", ""))
  }

  @Test func treesThatAreWrong() throws {
    let bed = try XenBed()
    bed.ask()
    bed.publish(pages: 0..<1001)
    try bed.work()
    #expect(bed["error"]?.contains("of a domain with 1000") == true, "\(bed["error"] ?? "none")")
    bed.store.erase("/local/domain/7/memory")
    bed.publish()
    try bed.work()
    #expect(bed["error"]?.contains("how much memory the domain may have") == true)
    #expect(bed["state"] == "failed")
    #expect(bed.guest.mappedCount == 0)
  }

  @Test func framesThatCannotBeMappedAreSaidToBe() throws {
    let bed = try XenBed()
    bed.ask()
    let tree = bed.publish()
    bed.guest.release(tree.frames[3]!)
    bed.store.put(XenBed.root, bed.store[XenBed.root]!)
    try bed.work()
    #expect(bed["state"] == "serving")
    #expect(bed["error"]?.hasPrefix("1 pages cannot be read") == true)
    #expect(bed["pages"] == "500")
  }

  @Test func whatIsNoDomainIsLeftAlone() throws {
    let bed = try XenBed()
    for name in ["abc", "-", "1x", "-5", "+5", "07", "0", "32752", "99999999999999999999"] {
      bed.store.put("/local/domain/0/memx/serve/\(name)/region", "a")
      bed.store.put("/local/domain/0/memx/serve/\(name)/token", "b")
    }
    bed.store.put("/local/domain/0/memx/serve/99/region", "xen-99-x")
    bed.store.put("/local/domain/0/memx/serve/99/token", "b")
    bed.ask()
    bed.publish()
    try bed.work()
    #expect(bed["state"] == "serving")
    #expect(bed.store["/local/domain/0/memx/serve/99/state"] == "failed")
    #expect(bed.store["/local/domain/0/memx/serve/abc/state"] == nil)
    let states = bed.store.tree("/local/domain/0/memx/serve").keys.filter {
      $0.hasSuffix("/state")
    }
    #expect(Set(states) == ["/7/state", "/99/state"])
  }

  @Test func whatAGuestSaysDoesNotFloodXenStore() throws {
    let bed = try XenBed()
    bed.ask()
    bed.store.put(XenBed.root, "\n\u{1B}[2J" + String(repeating: "x", count: 4000))
    try bed.work()
    #expect(bed["state"] == "failed")
    let error = try #require(bed["error"])
    #expect(error.utf8.count < 200)
    #expect(error.allSatisfy { !$0.isNewline && $0 != "\u{1B}" })
  }
}
