// SPDX-License-Identifier: Apache-2.0
import Logging
import PageStore
import RMAP
import TestSupport
import Testing

@testable import MemoryServer

/// How an engine takes regions that may go at any time.
@Suite struct RegionTableTests {
  private let guest = GuestFrames(domain: 5)
  private let seats = RegionSeats(count: 1)
  private let peer = MACAddress("02:00:00:00:00:01")!
  private let request = AttachRequest(
    region: RegionName("a")!, token: .none, slots: 0, attachID: 1, incarnation: 0, mtu: 1500,
    queueDepth: 1)

  private func table(engine: Int = 1) -> RegionTable {
    RegionTable(
      [], seats: seats, engine: engine,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  }

  private func makeRegion() throws -> Region {
    let made = guest.makeTree(slots: 10, pages: [1: 7])
    let tree = try FrameTree(
      FrameTree.Root(frame: made.root, generation: made.generation), of: 5, limit: 10, mapper: guest
    )
    return Region(
      RegionConfiguration(name: RegionName("a")!, byteCount: 40_960),
      foreign: try ForeignPages(tree, mapper: guest))
  }

  @Test func anAttachThatComesToNothingKeepsNoFrames() throws {
    var table = table()
    do {
      let region = try makeRegion()
      #expect(seats.add(region))
      _ = try table.find(request, from: peer).get()
      #expect(region.withdraw())
      seats.remove(region)
    }
    table.reclaim()
    #expect(guest.mappedCount == 0)
  }

  @Test func anotherRegionOnTheSameSeatIsNotTakenForTheOneThatWasFound() throws {
    var table = table()
    let (first, second) = (try makeRegion(), try makeRegion())
    #expect(seats.add(first))
    let grant = try table.find(request, from: peer).get()
    #expect(first.withdraw())
    seats.remove(first)
    #expect(seats.add(second))
    let isClaimed = table.claim(grant.region)
    #expect(!isClaimed)
    #expect(second.withdraw(), "nobody has it")
  }

  @Test func aRegionInUseGoesAfterTheFlush() throws {
    var table = table()
    let region = try makeRegion()
    #expect(seats.add(region))
    let grant = try table.find(request, from: peer).get()
    let isClaimed = table.claim(grant.region)
    #expect(isClaimed)
    let before = table.withdrawn
    #expect(before == nil)
    #expect(!region.withdraw())
    let noted = table.withdrawn
    #expect(noted == grant.region)
    guard case .page(let page, _) = table.load(grant.region, slot: 1) else {
      throw TestFailure("no page")
    }
    table.release(grant.region)
    #expect(!region.withdraw(), "a reply may still point to a page")
    #expect(page.load(as: UInt64.self) == 7)
    table.reclaim()
    #expect(region.withdraw())
    let again = table.find(request, from: peer)
    #expect(throws: Refusal.self) { try again.get() }
  }

  @Test func twoEnginesDoNotShareARegion() throws {
    var one = table(engine: 1)
    var other = table(engine: 2)
    let region = try makeRegion()
    #expect(seats.add(region))
    let grant = try one.find(request, from: peer).get()
    _ = try other.find(request, from: peer).get()
    let (first, second) = (one.claim(grant.region), other.claim(grant.region))
    #expect(first && !second)
    one.release(grant.region)
    one.reclaim()
    _ = try other.find(request, from: peer).get()
    let later = other.claim(grant.region)
    #expect(later)
  }
}
