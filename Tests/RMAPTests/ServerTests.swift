// SPDX-License-Identifier: Apache-2.0
import RMAP
import Testing

/// What a server must do with requests in order, and with each kind of bad ones.
@Suite struct ServerTests {
  let a = MACAddress.client(1)
  let b = MACAddress.client(2)

  // MARK: Attaching

  @Test func attachIsRefusedWithTheReason() throws {
    let server = ServerHarness([
      .init("swap", slots: 100, token: Token("secret")!),
      .init("closed", slots: 10, clients: [a]),
    ])
    #expect(server.attach("swap", from: a, token: "wrong")?.header.statusCode == .denied)
    #expect(server.attach("swap", from: a)?.header.statusCode == .denied)
    #expect(server.attach("other", from: a)?.header.statusCode == .noRegion)
    #expect(server.attach("closed", from: b)?.header.statusCode == .denied)
    #expect(server.attach("closed", from: a, slots: 11)?.header.statusCode == .tooLarge)
    #expect(server.attach("closed", from: a, slots: .max)?.header.statusCode == .tooLarge)
    #expect(server.core.counters.attachesRefused == 6)
    #expect(server.core.sessionCount == 0)
    let refused = try #require(server.attach("other", from: a, id: 77))
    #expect(refused.header.generationNumber == 77)
    #expect(refused.header.sessionID == 0 && refused.payload.isEmpty)
    server.finish()
  }

  @Test func oneClientARegion() throws {
    let server = ServerHarness()
    let first = try server.session(from: a, id: 5)
    #expect(server.attach(from: b, id: 9)?.header.statusCode == .busy)
    // The same attach again: the same session. An earlier one: dropped. A later one: a new session.
    #expect(server.attach(from: a, id: 5)?.header.sessionID == first)
    #expect(server.attach(from: a, id: 4) == nil)
    #expect(server.core.counters.staleRequests == 1)
    let second = try server.session(from: a, id: 6)
    #expect(second != first)
    #expect(server.core.sessionCount == 1)
    // After the session timeout the region is free.
    server.now_ns += UInt64(server.core.limits.sessionTimeout_ms) * 1_000_000 + 1
    server.core.tick(now_ns: server.now_ns, ringOverflowed: false)
    #expect(server.core.counters.sessionsExpired == 1)
    #expect(server.attach(from: b, id: 9)?.header.statusCode == .ok)
    server.finish()
  }

  @Test func sameAttachForALowerMTU() throws {
    let server = ServerHarness()
    let first = try #require(server.attach(from: a, id: 5, mtu: 9000))
    let second = try #require(server.attach(from: a, id: 5, mtu: 1500))
    let third = try #require(server.attach(from: a, id: 5, mtu: 9000))
    #expect(first.header.sessionID == third.header.sessionID)
    let mtus = [first, second, third].map { reply in
      reply.payload.withUnsafeBytes { AttachReply(payload: $0)!.mtu }
    }
    #expect(mtus == [9000, 1500, 1500])
    server.finish()
  }

  @Test func replyToAttachIsPaddedToTheMTUGranted() {
    let server = ServerHarness()
    let request = AttachRequest(
      region: RegionName("swap")!, token: .none, slots: 0, attachID: 1, incarnation: 0,
      mtu: 4136, queueDepth: 1)
    let header = Header(opcode: Opcode.attach.rawValue, session: 0)
    let frames = server.frames(message(header, payload: request.payload), from: a)
    #expect(frames.map(\.bytes.count) == [4136])
    server.finish()
  }

  @Test func asManySessionsAsAllowed() throws {
    let server = ServerHarness(
      (0..<3).map { .init("r\($0)", slots: 1) }, limits: ServerLimits(maxSessions: 2, mtu: 1500))
    _ = try server.session("r0", from: a)
    _ = try server.session("r1", from: a)
    #expect(server.attach("r2", from: a)?.header.statusCode == .tooMany)
    server.finish()
  }

  @Test func malformedAttaches() {
    let server = ServerHarness()
    let good = AttachRequest(
      region: RegionName("swap")!, token: .none, slots: 0, attachID: 1, incarnation: 0,
      mtu: 1500, queueDepth: 1
    ).payload
    var bad: [[UInt8]] = [[], Array(good.dropLast()), good + [0]]
    // An empty name, a name without its NUL, a letter that is not allowed, something behind the NUL.
    for (at, bytes) in [
      (0, [0]), (0, Array(repeating: 65, count: 32)), (1, [UInt8(ascii: "/")]), (6, [65]),
      (0, [0xC3, 0x28]),
      // MTU 1,415 and 9,001, queue depth 0.
      (88, [0x87, 0x05]), (88, [0x29, 0x23]), (90, [0, 0]),
    ] as [(Int, [UInt8])] {
      bad.append(good)
      bad[bad.count - 1].replaceSubrange(at..<at + bytes.count, with: bytes)
    }
    for payload in bad {
      let replies = server.send(
        message(Header(opcode: Opcode.attach.rawValue, session: 0), payload: payload), from: a)
      #expect(replies.map(\.header.statusCode) == [.badMessage])
    }
    #expect(server.core.sessionCount == 0)
    server.finish()
  }

  @Test func broadcastsAreAnsweredOnlyWhenGranted() throws {
    let server = ServerHarness()
    #expect(server.attach("other", from: a, toGroup: true) == nil)
    let reply = try #require(server.attach(from: a, toGroup: true))
    let session = reply.header.sessionID
    #expect(
      server.send(server.read(slot: 0, session: session, generation: 1), from: a, toGroup: true)
        .isEmpty)
    #expect(
      server.send(server.read(slot: 0, session: 99, generation: 1), from: a, toGroup: true).isEmpty)
    var header = Header(opcode: Opcode.read.rawValue, session: session)
    header.version = 9
    #expect(server.send(message(header), from: a, toGroup: true).isEmpty)
    server.finish()
  }

  @Test func groupSendersAndRepliesGetNoAnswer() throws {
    let server = ServerHarness()
    #expect(server.attach(from: .broadcast) == nil)
    #expect(server.attach(from: MACAddress(value: 0x0100_0000_0001)) == nil)
    let session = try server.session(from: a)
    for opcode in 0x81...0xFF as ClosedRange<UInt8> {
      #expect(server.send(message(Header(opcode: opcode, session: session)), from: a).isEmpty)
      #expect(server.send(message(Header(opcode: opcode, session: 4)), from: b).isEmpty)
    }
    var header = Header(opcode: Opcode.error.reply, session: session)
    header.version = 2
    #expect(server.send(message(header), from: a).isEmpty)
    server.finish()
  }

  // MARK: Requests

  @Test func pagesWholeAndInFragments() throws {
    for (first, second) in [(9000, 1500), (1500, 9000)] as [(UInt16, UInt16)] {
      let server = ServerHarness()
      var session = try server.session(from: a, id: 1, mtu: first)
      if first == 9000 {
        #expect(
          server.send(server.write(7, slot: 3, session: session, generation: 1), from: a).count == 1
        )
      } else {
        for index in [2, 0] {
          let frame = server.write(fragment: index, of: 7, slot: 3, session: session, generation: 1)
          #expect(server.send(frame + frame, from: a).isEmpty)
          #expect(server.store.value(0, slot: 3) == nil)
        }
        let last = server.write(fragment: 1, of: 7, slot: 3, session: session, generation: 1)
        #expect(server.send(last, from: a).map(\.header.statusCode) == [.ok])
      }
      #expect(server.store.value(0, slot: 3) == 7)
      for (id, mtu) in [(2, first), (3, second)] as [(UInt64, UInt16)] {
        session = try server.session(from: a, id: id, mtu: mtu)
        let replies = server.send(server.read(slot: 3, session: session, generation: 1), from: a)
        #expect(replies.flatMap(\.payload) == page(7))
        #expect(replies.map(\.header.fragments) == (mtu == 9000 ? [7] : [1, 2, 4]))
        let some = server.read(slot: 3, session: session, generation: 1, fragments: 4)
        #expect(server.send(some, from: a).map(\.header.fragments) == (mtu == 9000 ? [7] : [4]))
      }
      #expect(server.core.counters.writes == 1)
      server.finish()
    }
  }

  @Test func pagesOfZerosHaveNoPayload() throws {
    let server = ServerHarness()
    let session = try server.session(from: a, mtu: 1500)
    let empty = server.send(server.read(slot: 9, session: session, generation: 1), from: a)
    #expect(empty.map(\.header.fragments) == [7])
    #expect(empty.map(\.payload) == [[]])
    for index in 0..<2 {
      server.send(
        server.write(fragment: index, of: 5, slot: 9, session: session, generation: 1), from: a)
    }
    // Zeros end the gathering.
    let zeros = Header(
      opcode: Opcode.write.rawValue, session: session, tag: 0, generation: 1, slot: 9, fragments: 7)
    #expect(server.send(message(zeros), from: a).map(\.header.statusCode) == [.ok])
    #expect(server.store.staged == 0)
    #expect(server.store.value(0, slot: 9) == nil)
    server.finish()
  }

  @Test func lateDuplicatesChangeNothing() throws {
    let server = ServerHarness()
    let session = try server.session(from: a)
    let old = server.write(1, slot: 3, session: session, generation: 1)
    let discard = message(
      Header(
        opcode: Opcode.discard.rawValue, session: session, tag: 2, generation: 1, slot: 0, count: 10
      ))
    server.send(old, from: a)
    server.send(discard, from: a)
    server.send(server.write(2, slot: 3, session: session, generation: 2), from: a)
    let commits = server.store.commits
    #expect(server.send(old, from: a).isEmpty)
    #expect(server.core.counters.staleRequests == 1)
    // Again the current request: answered again, not carried out again.
    #expect(server.send(discard, from: a).map(\.header.statusCode) == [.ok])
    #expect(
      server.send(server.write(9, slot: 3, session: session, generation: 2), from: a).count == 1)
    #expect(server.store.commits == commits)
    #expect(server.store.value(0, slot: 3) == 2)
    // And what belongs to a session that has been replaced.
    let attachAgain = try server.session(from: a, id: 2)
    #expect(server.send(old, from: a).map(\.header.statusCode) == [.badSession])
    #expect(server.send(old, from: a).map(\.header.opcode) == [0xFF])
    #expect(server.attach(from: a, id: 1) == nil)
    #expect(server.core.sessions(now_ns: server.now_ns).map(\.id) == [attachAgain])
    #expect(server.store.value(0, slot: 3) == 2)
    server.finish()
  }

  @Test func aNewRequestForgetsAnUnfinishedWrite() throws {
    let server = ServerHarness()
    let session = try server.session(from: a, mtu: 1500)
    server.send(server.write(fragment: 0, of: 5, slot: 1, session: session, generation: 1), from: a)
    #expect(server.store.staged == 1)
    server.send(server.write(fragment: 1, of: 6, slot: 1, session: session, generation: 2), from: a)
    server.send(server.write(fragment: 2, of: 6, slot: 1, session: session, generation: 2), from: a)
    #expect(server.store.staged == 1)
    #expect(
      server.send(
        server.write(fragment: 1, of: 5, slot: 1, session: session, generation: 1), from: a
      ).isEmpty)
    #expect(server.store.value(0, slot: 1) == nil)
    server.send(server.read(slot: 1, session: session, tag: 0, generation: 3), from: a)
    #expect(server.store.staged == 0)
    server.finish()
  }

  @Test func generationsGoRound() throws {
    let server = ServerHarness()
    let session = try server.session(from: a)
    // The first generation is 1; an unused tag has nothing that a message with 0 could repeat.
    #expect(server.send(server.write(1, slot: 0, session: session, generation: 0), from: a).isEmpty)
    for generation in [1, 0x7FFF_FFFF, 0xFFFF_FFFE, 0xFFFF_FFFF, 0, 1] as [UInt32] {
      let frame = server.write(
        UInt64(generation) + 9, slot: 0, session: session, generation: generation)
      for _ in 0..<2 { #expect(server.send(frame, from: a).map(\.header.statusCode) == [.ok]) }
      #expect(server.store.value(0, slot: 0) == UInt64(generation) + 9)
    }
    #expect(server.core.counters.writes == 6)
    server.finish()
  }

  @Test func slotsPastTheEnd() throws {
    let server = ServerHarness()
    let asked = try #require(server.attach(from: a, slots: 50))
    let session = asked.header.sessionID
    var generation: UInt32 = 0
    for slot in [50, 99, 100, 1 << 32, 1 << 63, .max] as [UInt64] {
      generation += 1
      #expect(
        server.send(server.read(slot: slot, session: session, generation: generation), from: a)
          .map(\.header.statusCode) == [.outOfRange])
      #expect(
        server.send(server.write(1, slot: slot, session: session, generation: generation), from: a)
          .map(\.header.statusCode) == [.outOfRange])
    }
    for (slot, count) in [(49, 2), (50, 1), (.max, 1), (.max, 65_536), (.max - 10, 20), (0, 51)]
      as [(UInt64, UInt32)]
    {
      generation += 1
      let discard = Header(
        opcode: Opcode.discard.rawValue, session: session, tag: 2, generation: generation,
        slot: slot, count: count)
      #expect(server.send(message(discard), from: a).map(\.header.statusCode) == [.outOfRange])
    }
    #expect(server.core.counters.outOfRange == 18)
    #expect(server.store.clears == 0 && server.store.commits == 0)
    server.finish()
  }

  @Test func contradictions() throws {
    let server = ServerHarness()
    let session = try server.session(from: a, depth: 8)
    var bad: [[UInt8]] = []
    func add(
      _ opcode: Opcode, tag: UInt16 = 0, fragments: UInt8 = 0, count: UInt32 = 0, bytes: Int = 0
    ) {
      let header = Header(
        opcode: opcode.rawValue, session: session, tag: tag, generation: 1, fragments: fragments,
        count: count)
      bad.append(message(header, payload: Array(repeating: 1, count: bytes)))
    }
    for tag in [8, 15, 16, 511, 0xFFFE, 0xFFFF] as [UInt16] {
      add(.read, tag: tag, fragments: 7)
      add(.write, tag: tag, fragments: 7, bytes: 4096)
      add(.discard, tag: tag, count: 1)
      add(.flush, tag: tag)
    }
    for fragments in UInt8.min...UInt8.max {
      for bytes in [0, 1, 1343, 1344, 1345, 1375, 1376, 1377, 2752, 4095, 4096, 4097] {
        let fits =
          switch fragments {
          case 1, 2: bytes == 1376
          case 4: bytes == 1344
          case 7: bytes == 4096 || bytes == 0
          default: false
          }
        if !fits { add(.write, fragments: fragments, bytes: bytes) }
      }
      if fragments == 0 || fragments > 7 { add(.read, fragments: fragments) }
    }
    add(.read, fragments: 7, bytes: 1)
    add(.flush, bytes: 1)
    add(.discard, count: 0)
    add(.discard, count: 65_537)
    add(.discard, count: .max)
    add(.discard, count: 1, bytes: 8)
    for frame in bad {
      server.now_ns += 10_000_000
      let replies = server.send(frame, from: a)
      #expect(replies.map(\.header.statusCode) == [.badMessage])
      #expect(replies.map(\.payload) == [[]])
    }
    #expect(server.core.counters.badMessages == UInt64(bad.count))
    // The same cookie for something else.
    server.send(server.write(1, slot: 3, session: session, generation: 5), from: a)
    for frame in [
      server.write(2, slot: 4, session: session, generation: 5),
      server.read(slot: 3, session: session, tag: 0, generation: 5),
    ] {
      #expect(server.send(frame, from: a).map(\.header.statusCode) == [.badMessage])
    }
    #expect(server.store.value(0, slot: 3) == 1 && server.store.value(0, slot: 4) == nil)
    server.finish()
  }

  @Test func truncatedAndOversizedFrames() throws {
    let server = ServerHarness()
    let session = try server.session(from: a)
    let frame = server.write(1, slot: 3, session: session, generation: 1)
    for length in 1..<frame.count { #expect(server.send(Array(frame[..<length]), from: a).isEmpty) }
    #expect(server.core.counters.truncatedFrames == UInt64(frame.count - 1))
    #expect(server.store.commits == 0)
    #expect(server.send([], from: a).isEmpty)
    // Behind a message: zeros are padding, anything else is cut short, and does not undo it.
    #expect(server.send(frame + [UInt8](repeating: 0, count: 60_000), from: a).count == 1)
    #expect(server.send(frame + [1, 2, 3], from: a).count == 1)
    #expect(server.core.counters.truncatedFrames == UInt64(frame.count))
    server.finish()
  }

  @Test func unknownOpcodesAndVersions() throws {
    let server = ServerHarness()
    let session = try server.session(from: a)
    for opcode in [16, 0x40, 0x7F] as [UInt8] {
      let replies = server.send(
        message(Header(opcode: opcode, session: session, tag: 3, generation: 4, slot: 5)), from: a)
      #expect(replies.map(\.header.opcode) == [0xFF])
      #expect(replies.map(\.header.statusCode) == [.badOpcode])
      #expect(replies.map(\.header.tagIndex) == [3])
      #expect(replies.map(\.header.slotIndex) == [5])
    }
    var header = Header(opcode: Opcode.read.rawValue, session: session, tag: 3, generation: 4)
    for version in [0, 2, 255] as [UInt8] {
      header.version = version
      let replies = server.send(message(header, payload: [1, 2, 3]), from: a)
      #expect(replies.map(\.header.statusCode) == [.badVersion])
      #expect(replies.map(\.header.version) == [Wire.version])
      #expect(replies.map(\.header.opcode) == [0xFF])
    }
    server.finish()
  }

  @Test func aGuessedSessionOfAnotherClient() throws {
    let server = ServerHarness()
    let session = try server.session(from: a)
    server.send(server.write(1, slot: 3, session: session, generation: 1), from: a)
    let detach = message(Header(opcode: Opcode.detach.rawValue, session: session))
    for frame in [
      server.write(2, slot: 3, session: session, generation: 2),
      server.read(slot: 3, session: session, generation: 2), detach,
    ] {
      let replies = server.send(frame, from: b)
      #expect(replies.map(\.header.statusCode) == [.badSession])
      #expect(replies.map(\.to) == [b])
      #expect(replies.map(\.payload) == [[]])
    }
    #expect(server.store.value(0, slot: 3) == 1)
    #expect(server.core.sessionCount == 1)
    server.finish()
  }

  @Test func errorsAreLimited() throws {
    let server = ServerHarness()
    let session = try server.session(from: a)
    let stray = message(Header(opcode: Opcode.read.rawValue, session: 77))
    let malformed = message(Header(opcode: Opcode.flush.rawValue, session: session), payload: [1])
    func strays(_ frames: Int) -> Int {
      (0..<frames).reduce(0) { sum, _ in sum + server.send(stray, from: b).count }
    }
    func complaints(_ frames: Int) -> Int {
      (0..<frames).reduce(0) { sum, _ in sum + server.send(malformed, from: a).count }
    }
    func refusals(_ attaches: Int) -> Int {
      (0..<attaches).reduce(0) { sum, _ in sum + (server.attach("other", from: b) == nil ? 0 : 1) }
    }
    for errors in [strays, complaints, refusals] {
      server.now_ns += 1_000_000_000
      let before = server.core.counters.errorsSuppressed
      #expect(errors(1000) == 100)
      #expect(server.core.counters.errorsSuppressed - before == 900)
    }
    // All kinds share one budget, and what is held back is counted all the same.
    server.now_ns += 1_000_000_000
    #expect(strays(50) + complaints(30) + refusals(40) + strays(1) + complaints(1) == 100)
    #expect(server.core.counters.badSessions == 1051)
    #expect(server.core.counters.badMessages == 1031)
    #expect(server.core.counters.attachesRefused == 1040)
    // A right request is answered all the same, even if the answer is no.
    for generation in 1...200 as ClosedRange<UInt32> {
      let wrong = server.read(slot: 100, session: session, generation: generation)
      #expect(server.send(wrong, from: a).map(\.header.statusCode) == [.outOfRange])
    }
    server.finish()
  }

  @Test func theQuotaHolds() throws {
    let server = ServerHarness([.init("swap", slots: 1000, quota: 5)])
    let session = try server.session(from: a)
    for slot in 0..<1000 as Range<UInt64> {
      let replies = server.send(
        server.write(slot + 1, slot: slot, session: session, generation: UInt32(slot) + 1), from: a)
      #expect(replies.map(\.header.statusCode) == [slot < 5 ? .ok : .noSpace])
    }
    // A page that replaces another fits, and one that was refused stays refused.
    let replies = server.send(server.write(9, slot: 0, session: session, generation: 1001), from: a)
    #expect(replies.map(\.header.statusCode) == [.ok])
    #expect(server.store.peakFrames <= 5 + 8)
    #expect(server.core.counters.noSpace == 995)
    server.finish()
  }

  @Test func aReadKeepsItsPageThoughAWriteInTheSameFrameReplacesIt() throws {
    let server = ServerHarness()
    let session = try server.session(from: a)
    server.send(server.write(1, slot: 3, session: session, generation: 1), from: a)
    let frame =
      server.read(slot: 3, session: session, generation: 1)
      + server.write(2, slot: 3, session: session, generation: 2)
      + server.read(slot: 3, session: session, tag: 2, generation: 1)
    let replies = server.send(frame, from: a)
    #expect(replies.map(\.payload) == [page(1), [], page(2)])
    server.finish()
  }

  @Test func lostPagesAreSaidToBe() throws {
    let server = ServerHarness()
    var session = try server.session(from: a)
    server.send(server.write(1, slot: 3, session: session, generation: 1), from: a)
    server.store.crash(survives: false)
    server.core = ServerCore(
      store: MemoryStore(state: server.store), limits: server.core.limits, seed: 43)
    let reply = try #require(server.attach(from: a, id: 2, incarnation: 1))
    let told = reply.payload.withUnsafeBytes { AttachReply(payload: $0)!.lost }
    #expect(told)
    session = reply.header.sessionID
    func status(_ slot: UInt64, _ generation: UInt32) -> [Status?] {
      server.send(server.read(slot: slot, session: session, generation: generation), from: a)
        .map(\.header.statusCode)
    }
    #expect(status(3, 1) == [.lost])
    server.send(server.write(2, slot: 3, session: session, generation: 1), from: a)
    #expect(status(3, 2) == [.ok])
    #expect(status(4, 3) == [.lost])
    let discard = Header(
      opcode: Opcode.discard.rawValue, session: session, tag: 0, generation: 2, slot: 4, count: 1)
    server.send(message(discard), from: a)
    #expect(status(4, 4) == [.ok])
    server.finish()
  }

  // MARK: Credits, status, leaving

  @Test func creditsFallWhenTheRingOverflows() throws {
    let server = ServerHarness(limits: ServerLimits(maxSessions: 2, mtu: 9000, ringFrames: 64))
    let reply = try #require(server.attach(from: a, depth: 100))
    #expect(reply.header.creditCount == 64)
    let keepAlive = message(
      Header(opcode: Opcode.keepAlive.rawValue, session: reply.header.sessionID))
    func credits() -> [UInt16] { server.send(keepAlive, from: a).map(\.header.creditCount) }
    for expected in [32, 16, 8, 4, 2, 1, 1, 1, 1, 1] as [UInt16] {
      server.core.tick(now_ns: server.now_ns, ringOverflowed: true)
      #expect(credits() == [expected])
    }
    for _ in 0..<20 {
      server.now_ns += 100_000_001
      server.core.tick(now_ns: server.now_ns, ringOverflowed: false)
    }
    #expect(credits() == [64])
    server.finish()
  }

  @Test func statusAndDetach() throws {
    let server = ServerHarness([.init("swap", slots: 100, quota: 40)])
    let session = try server.session(from: a)
    server.send(server.write(1, slot: 3, session: session, generation: 1), from: a)
    let status = server.send(
      message(Header(opcode: Opcode.status.rawValue, session: session, generation: 9)), from: a)
    #expect(status.map(\.header.generationNumber) == [9])
    let told = status[0].payload.withUnsafeBytes { RegionStatus(payload: $0) }
    #expect(told == RegionStatus(slots: 100, stored: 1, quota: 40))
    let detach = message(Header(opcode: Opcode.detach.rawValue, session: session))
    #expect(server.send(detach, from: a).map(\.header.statusCode) == [.ok])
    #expect(server.send(detach, from: a).map(\.header.statusCode) == [.badSession])
    #expect(server.core.sessionCount == 0)
    #expect(server.store.value(0, slot: 3) == 1)
    server.finish()
  }
}
