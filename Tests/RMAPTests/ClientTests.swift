// SPDX-License-Identifier: Apache-2.0
import CRMAP
import RMAP
import Testing

/// What a client must send, and what it must take.
@Suite struct ClientTests {
  // MARK: Attaching

  @Test func attachAsksForLessWhenLargeFramesGoUnanswered() throws {
    let client = ClientHarness(mtu: 9000)
    var sizes: [Int] = []
    while sizes.count < 6 {
      sizes += client.frames().map(\.bytes.count)
      client.now_ns = max(client.now_ns + 1, client.next_ns)
    }
    #expect(sizes == [9000, 9000, 1500, 1500, 9000, 9000])
  }

  @Test func attachFindsTheServerByBroadcast() throws {
    let client = ClientHarness(server: .broadcast)
    let attaches = client.sent()
    #expect(attaches.map(\.to) == [.broadcast])
    client.grant(try #require(attaches.first))
    #expect(client.session.server == ClientHarness.server)
    client.submit()
    #expect(client.sent().map(\.to) == [ClientHarness.server])
  }

  @Test func firstAttachTakesNoForAnAnswer() throws {
    let client = ClientHarness()
    let attach = try #require(client.sent().first)
    // Not one that answers another attach, or comes from elsewhere.
    var late = attach
    late.header.generation = (attach.header.generationNumber - 1).littleEndian
    client.answer(late, .denied)
    client.receive(ClientHarness.reply(attach, .denied), from: .client(1))
    #expect(client.session.state == .attaching)
    client.answer(attach, .denied)
    #expect(client.session.state == .refused(.denied))
    #expect(client.sent().isEmpty)
    #expect(client.next_ns == .max)
  }

  @Test func aForgottenSessionIsOpenedAgain() throws {
    let client = ClientHarness()
    try client.attach()
    let request = client.submit(.write, slot: 3, page: page(8))
    let before = try #require(client.sent().first)
    // An error of another session changes nothing.
    var other = before
    other.header.session = 9
    other.header.opcode = Opcode.error.rawValue
    client.answer(other, .badSession)
    #expect(client.session.state == .live)
    other.header.session = before.header.session
    client.answer(other, .badSession)
    #expect(client.session.state == .attaching)
    let attach = try #require(client.sent().first)
    let asked = attach.payload.withUnsafeBytes { AttachRequest(payload: $0)! }
    #expect(asked.attachID == 11)
    #expect(asked.incarnation == 5)
    // A refusal now is not the end.
    client.answer(attach, .busy)
    #expect(client.session.state == .attaching)
    client.grant(attach, session: 0x7002)
    let again = try #require(client.sent().first)
    #expect(again.header.sessionID == 0x7002)
    #expect(again.header.generationNumber == 1 && again.header.attempt == 0)
    #expect(again.payload == page(8))
    // The answer in the old session is too late.
    client.answer(before)
    #expect(client.completed() == [:])
    client.answer(again)
    #expect(client.completed() == [request: .done])
  }

  // MARK: Retransmission

  @Test func onlyMissingFragmentsAreAskedForAgain() throws {
    let client = ClientHarness(mtu: 1500)
    try client.attach()
    let request = client.submit(.read, slot: 3)
    let read = try #require(client.sent().first)
    #expect(read.header.fragments == 7)
    let contents = page(77)
    client.answer(read, fragments: 4, payload: fragment(2, of: contents))
    client.answer(read, fragments: 4, payload: fragment(2, of: contents))
    #expect(client.session.counters.lateReplies == 1)
    let second = try #require(client.sentLater(limit_ns: 200_000_000).first)
    #expect(second.header.fragments == 3)
    #expect(second.header.attempt == 1)
    #expect(second.header.generationNumber == read.header.generationNumber)
    client.answer(read, fragments: 1, payload: fragment(0, of: contents))
    let third = try #require(client.sentLater(limit_ns: 200_000_000).first)
    #expect(third.header.fragments == 2)
    #expect(client.completed() == [:])
    client.answer(third, fragments: 2, payload: fragment(1, of: contents))
    #expect(client.completed() == [request: .done])
    #expect(client.buffer(of: request) == contents)
  }

  /// A network that loses nothing, and whose round trip becomes longer than the timeout that was right before.
  @Test func aLongerRoundTripIsLearned() throws {
    let client = ClientHarness()
    try client.attach()
    for slot in 0..<100 as Range<UInt64> {
      let roundTrip_ns: UInt64 = slot < 50 ? 5_000_000 : 65_000_000
      let request = client.submit(.discard, slot: slot)
      var answers: [(at_ns: UInt64, to: Received)] = []
      while true {
        answers += client.sent().map { (client.now_ns + roundTrip_ns, $0) }
        let answer = try #require(answers.first)
        client.now_ns = max(client.now_ns, min(answer.at_ns, client.next_ns))
        guard client.now_ns >= answer.at_ns else { continue }
        client.answer(answer.to)
        break
      }
      #expect(client.completed() == [request: .done])
      // Copies of what is over.
      answers.dropFirst().forEach { client.answer($0.to) }
    }
    #expect(client.session.counters.retransmissions < 5)
  }

  @Test func malformedRepliesToReadAreNotTaken() throws {
    let client = ClientHarness(mtu: 1500)
    try client.attach()
    client.submit(.read, slot: 3)
    let read = try #require(client.sent().first)
    var bad: UInt64 = 0
    for fragments in 0...255 as ClosedRange<UInt8> {
      for bytes in [0, 1, 1344, 1376, 4095, 4096] {
        let fits =
          switch fragments {
          case 1, 2: bytes == 1376
          case 4: bytes == 1344
          case 7: bytes == 0 || bytes == 4096
          default: false
          }
        guard !fits else { continue }
        client.answer(read, fragments: fragments, payload: Array(repeating: 1, count: bytes))
        bad += 1
      }
    }
    #expect(client.session.counters.badFrames == bad)
    #expect(client.completed() == [:])
  }

  @Test func repliesToOthersAreLate() throws {
    let client = ClientHarness()
    try client.attach()
    client.submit(.write, slot: 3)
    let write = try #require(client.sent().first)
    let changes: [(inout Header) -> Void] = [
      { $0.generation = 2 }, { $0.slot = 4 }, { $0.opcode = Opcode.read.rawValue },
      { $0.tag = 1 }, { $0.session = 0x7000 },
    ]
    for change in changes {
      var other = write
      change(&other.header)
      client.answer(other)
    }
    #expect(client.completed() == [:])
    #expect(client.session.counters.lateReplies == 5)
    client.answer(write)
    client.answer(write)
    #expect(client.completed().count == 1)
    #expect(client.session.counters.lateReplies == 6)
  }

  @Test func whatHasBeenOvertakenIsSentAgain() throws {
    let client = ClientHarness()
    try client.attach()
    client.submit(.read, slot: 1)
    let lost = try #require(client.sent().first)
    // An answer to a request sent a little later may just have been faster.
    client.now_ns += 10_000
    client.submit(.read, slot: 2)
    let second = try #require(client.sent().first)
    client.now_ns += 100_000
    client.answer(second, fragments: 7)
    #expect(client.sent().isEmpty)
    client.submit(.read, slot: 3)
    let third = try #require(client.sent().first)
    client.now_ns += 100_000
    client.answer(third, fragments: 7)
    let again = client.sent()
    #expect(again.map(\.header.slotIndex) == [1])
    #expect(again.map(\.header.attempt) == [1])
    #expect(again.map(\.header.tagIndex) == [lost.header.tagIndex])
    #expect(client.session.counters.overtaken == 1)
    #expect(client.session.counters.timeouts == 0)
    #expect(client.sent().isEmpty)
  }

  /// The first, the second, and the third transmission of a request that is sent three times are answered.
  @Test(arguments: zip(0..<3, [true, false, true]))
  func onlyAnAnswerWhoseTransmissionIsKnownIsASample(index: Int, isKnown: Bool) throws {
    let client = ClientHarness()
    try client.attach()
    let request = client.submit(.read, slot: 1)
    var sent: [(message: Received, at_ns: UInt64)] = []
    for attempt in 0..<3 {
      let message = try #require(client.sentLater(limit_ns: 1_000_000_000).first)
      #expect(message.header.attempt == attempt)
      sent.append((message, client.now_ns))
    }
    client.now_ns += 50_000
    client.answer(sent[index].message, fragments: 7)
    #expect(client.completed() == [request: .done])
    #expect(client.session.srtt_ns == (isKnown ? client.now_ns - sent[index].at_ns : 0))
  }

  @Test func timeoutsDouble() throws {
    let client = ClientHarness()
    try client.attach()
    client.submit(.read, slot: 1)
    client.now_ns += 100
    client.answer(try #require(client.sent().first), fragments: 7)
    client.submit(.read, slot: 1)
    var last_ns = client.now_ns
    #expect(client.sent().count == 1)
    var waits: [UInt64] = []
    for _ in 0..<6 {
      #expect(client.sentLater(limit_ns: 2_000_000_000).count == 1)
      waits.append(client.now_ns - last_ns)
      last_ns = client.now_ns
    }
    for (wait_ns, expected_ms) in zip(waits, [20, 40, 80, 160, 320, 640] as [UInt64]) {
      #expect((expected_ms * 1_000_000...expected_ms * 1_000_000 + 2_500_000).contains(wait_ns))
    }
  }

  // MARK: Credits and tags

  @Test func creditsAreKept() throws {
    let client = ClientHarness(depth: 8)
    try client.attach(credits: 3)
    for slot in 0..<8 as Range<UInt64> { client.submit(.write, slot: slot) }
    var outstanding = client.sent()
    #expect(outstanding.count == 3)
    client.answer(outstanding.removeFirst(), credits: 1)
    #expect(client.sent().isEmpty)
    client.answer(outstanding.removeFirst(), credits: 1)
    #expect(client.sent().isEmpty)
    client.answer(outstanding.removeFirst(), credits: 0)
    outstanding = client.sent()
    #expect(outstanding.count == 1)
    client.answer(outstanding.removeFirst(), credits: 100)
    #expect(client.sent().count == 4)
    #expect(client.completed().count == 4)
  }

  @Test func aLowerQueueDepthIsKept() throws {
    let client = ClientHarness(depth: 8)
    for slot in 0..<8 as Range<UInt64> { client.submit(.write, slot: slot) }
    try client.attach(depth: 3)
    var done = 0
    for round in 0..<20 {
      let sent = client.sent()
      #expect(sent.count <= 3)
      #expect(Set(sent.map(\.header.tagIndex)).count == sent.count)
      for write in sent {
        #expect(write.header.tagIndex < 3)
        client.answer(write)
      }
      let completed = client.completed()
      #expect(completed.count == sent.count)
      done += completed.count
      if round < 10 {
        for slot in 0..<2 as Range<UInt64> where client.session.hasRoom {
          client.submit(.flush, slot: slot)
        }
      }
    }
    #expect(done == 28)
    #expect(client.session.outstanding == 0)
  }

  // MARK: Staying and giving up

  @Test func keepAliveAfterAThirdOfTheTimeout() throws {
    let client = ClientHarness()
    try client.attach(timeout_ms: 300)
    let start_ns = client.now_ns
    var times: [UInt64] = []
    for _ in 0..<3 {
      let sent = client.sentLater(limit_ns: 1_000_000_000)
      #expect(sent.map(\.header.opcode) == [Opcode.keepAlive.rawValue])
      #expect(sent.map(\.header.tagIndex) == [Wire.noTag])
      times.append(client.now_ns - start_ns)
    }
    #expect(times == [100_000_000, 200_000_000, 300_000_000])
    #expect(client.session.counters.keepAlives == 3)
  }

  @Test func givingUpOpensANewSession() throws {
    let client = ClientHarness(giveUp_ns: 50_000_000)
    try client.attach()
    let hopeless = client.submit(.write, slot: 1)
    let old = try #require(client.sent().first)
    client.now_ns += 40_000_000
    let hopeful = client.submit(.write, slot: 2)
    #expect(client.sent().map(\.header.slotIndex).contains(2))
    client.now_ns += 11_000_000
    let attach = client.sentLater(limit_ns: 10_000_000)
    #expect(client.completed() == [hopeless: .timedOut])
    #expect(attach.map(\.header.opcode) == [Opcode.attach.rawValue])
    client.grant(try #require(attach.first), session: 0x7002)
    let again = client.sent()
    #expect(again.map(\.header.slotIndex) == [2])
    #expect(again.map(\.header.sessionID) == [0x7002])
    client.answer(old)
    #expect(client.completed() == [:])
    client.answer(try #require(again.first))
    #expect(client.completed() == [hopeful: .done])
  }

  @Test func whatWasNeverSentIsGivenUpWithoutANewSession() throws {
    let client = ClientHarness(giveUp_ns: 50_000_000)
    try client.attach(credits: 1)
    let (first, second) = (client.submit(.write, slot: 1), client.submit(.write, slot: 2))
    let third = client.submit(.write, slot: 3)
    client.now_ns += 49_000_000
    client.answer(try #require(client.sent().first), credits: 1)
    #expect(client.completed() == [first: .done])
    let sent = try #require(client.sent().first)
    #expect(sent.header.slotIndex == 2)
    client.answer(sent, credits: 1)
    #expect(client.completed() == [second: .done])
    client.now_ns += 4_000_000
    #expect(client.sent().isEmpty)
    #expect(client.completed() == [third: .timedOut])
    #expect(client.session.state == .live)
  }

  @Test func withoutAServerEveryRequestFails() {
    let client = ClientHarness(giveUp_ns: 1_000_000_000)
    for slot in 0..<8 as Range<UInt64> { client.submit(.read, slot: slot) }
    let end_ns = client.now_ns + 1_010_000_000
    while client.now_ns < end_ns {
      _ = client.sent()
      client.now_ns = max(client.now_ns + 1, client.next_ns)
    }
    #expect(Array(client.completed().values) == Array(repeating: .timedOut, count: 8))
    #expect(client.session.outstanding == 0)
  }

  @Test func detachSaysGoodbye() throws {
    let client = ClientHarness()
    try client.attach()
    var packer = Packer()
    client.session.detach(sink: &packer)
    #expect(Received.all(in: packer.flush()).map(\.header.opcode) == [Opcode.detach.rawValue])
    #expect(client.session.state == .detached)
    #expect(client.sent().isEmpty)
  }
}
