// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import RMAP

/// What a session has planned to push, and what it tells the client of that.
@Suite struct PushPlanTests {
  private func sender(planning slots: [UInt64]) -> PushSender {
    var sender = PushSender(BeginRequest(strategy: "push"), session: 1, region: 0, limit_bytes_s: 0)
    for slot in slots { sender.enqueue(slot) }
    return sender
  }

  @Test func neighboursAreAnnouncedTogetherAndOnce() {
    var sender = sender(planning: [7, 8, 9, 4, 3, 20])
    let first = sender.announce()
    #expect(first.first == 7 && first.ahead == 3)
    let second = sender.announce()
    #expect(second.first == 4 && second.ahead == -2)
    let third = sender.announce()
    #expect(third.first == 20 && third.ahead == 1)
    #expect(sender.announce().ahead == 0)
  }

  @Test func whatIsPlannedLastCanBeAnnouncedFirst() {
    var sender = sender(planning: [100, 7, 8])
    let latest = sender.announce(from: 1)
    #expect(latest?.first == 7 && latest?.ahead == 2)
    let rest = sender.announce()
    #expect(rest.first == 100 && rest.ahead == 1)
    #expect(sender.announce(from: 3) == nil)
  }

  @Test func promisesGoFirst() {
    var sender = sender(planning: [100])
    sender.promises.append(Announcement(first: 500, count: -300))
    let promised = sender.announce()
    #expect(promised.first == 500 && promised.ahead == -127)
    #expect(sender.announce().first == 100)
  }

  /// A program alone that comes to an announced page had better not wait for many others before it. Where several ask, the
  /// link is theirs, and what is planned has time.
  @Test(arguments: [1, 2] as [UInt32])
  func littleIsPlannedBeforeWhatAProgramAloneIsTold(programs: UInt32) throws {
    let server = ServerHarness()
    let session = try server.session(from: .client(1), depth: 16)
    for slot in 0..<90 as Range<UInt32> {
      let write = server.write(
        1, slot: UInt64(slot), session: session, generation: slot + 1)
      server.send(write, from: .client(1))
    }
    server.send(
      message(
        Header(opcode: Opcode.begin.rawValue, session: session, tag: 0, generation: 91),
        payload: BeginRequest(strategy: "push").payload), from: .client(1))
    for index in 1...28 as ClosedRange<UInt32> {
      server.now_ns += 100_000
      server.send(
        message(
          Header(
            opcode: Opcode.read.rawValue, session: session, tag: 1, generation: index,
            slot: UInt64(90 - index), fragments: Wire.allFragments, count: 1 + index % programs)),
        from: .client(1))
    }
    let transfer = try #require(server.core.transfers().first)
    #expect(transfer.fetched == 28)
    let planned = Int(transfer.remaining) - server.store.remaining(0)
    #expect(programs == 1 ? (2...12).contains(planned) : planned > 40, "\(planned) planned")
    server.finish()
  }

  /// Against a plain array, from seeds.
  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func everyPlannedSlotIsAnnouncedOnce(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    var sender = sender(planning: [])
    var plan: [(slot: UInt64, isAnnounced: Bool)] = []
    var next: UInt64 = 0
    for _ in 0..<2000 {
      switch random.below(4) {
      case 0 where sender.planHasRoom:
        next += random.once(in: 3) ? 2 : 1
        sender.enqueue(next)
        plan.append((next, false))
      case 1 where !plan.isEmpty:
        #expect(sender.dequeue() == plan.removeFirst().slot, "seed \(seed)")
      case 2 where !plan.isEmpty:
        let slot = plan.remove(at: random.below(plan.count)).slot
        #expect(sender.withdraw(slot) && !sender.withdraw(slot), "seed \(seed)")
      default:
        let found = sender.announce(from: random.below(sender.planCount + 1)) ?? .nothing
        for step in 0..<Int(found.ahead) {
          let index = plan.firstIndex { $0.slot == found.first + UInt64(step) }
          let at = try #require(index, "seed \(seed): announced, and not planned")
          if step > 0 { #expect(!plan[at].isAnnounced, "seed \(seed): announced twice") }
          plan[at].isAnnounced = true
        }
      }
      #expect(sender.planCount == plan.count, "seed \(seed)")
    }
    while true {
      let found = sender.announce()
      guard found.ahead > 0 else { break }
      for step in 0..<Int(found.ahead) {
        let at = try #require(plan.firstIndex { $0.slot == found.first + UInt64(step) })
        #expect(!plan[at].isAnnounced, "seed \(seed): announced twice")
        plan[at].isAnnounced = true
      }
    }
    #expect(plan.count { !$0.isAnnounced } == 0, "seed \(seed)")
  }
}
