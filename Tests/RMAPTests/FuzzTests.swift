// SPDX-License-Identifier: Apache-2.0
import RMAP
import Testing

/// Random and mutated frames against everything that reads them. MEMX_FUZZ_FRAMES says how many.
@Suite struct FuzzTests {
  @Test("The reader finds an end in every frame, and only messages whose checksum is right")
  func reader() {
    var fuzzer = Fuzzer(seed: UInt64(Environment.seed), sessions: [1, 2])
    for _ in 0..<Environment.fuzzFrames {
      fuzzer.next().withUnsafeBytes { frame in
        var reader = MessageReader(frame)
        var used = 0
        while case .message(let message) = reader.next() {
          used += Wire.headerBytes + message.payload.count
          precondition(message.header.version == Wire.version && message.header.opcode != 0)
          precondition(message.header.payloadLength == message.payload.count)
        }
        precondition(used <= frame.count)
      }
    }
  }

  @Test("A hostile client hurts no other, and makes no memory be used beyond its quota")
  func server() throws {
    let quota = 6
    let server = ServerHarness(
      [
        .init("victim", slots: 64), .init("small", slots: 64),
        .init("hostile", slots: 64, quota: quota),
      ], limits: ServerLimits(maxSessions: 4, mtu: 9000, queueDepth: 16))
    let victims = [MACAddress.client(1), .client(2)]
    let hostile = MACAddress.client(66)
    let victimSession = try server.session("victim", from: victims[0], mtu: 9000)
    let smallSession = try server.session("small", from: victims[1], mtu: 1500)
    for slot in 0..<64 as Range<UInt64> {
      for (victim, session) in [(0, victimSession), (1, smallSession)] {
        server.send(
          server.write(slot + 1, slot: slot, session: session, generation: UInt32(slot) + 1),
          from: victims[victim])
      }
    }
    let own = try server.session("hostile", from: hostile, mtu: 1500, depth: 16)
    var fuzzer = Fuzzer(
      seed: UInt64(Environment.seed) + 1, sessions: [own, victimSession, smallSession])
    var random = SeededRandom(seed: 5)
    for number in 0..<Environment.fuzzFrames {
      server.now_ns += UInt64(random.below(2_000_000))
      if number % 1024 == 0 {
        server.core.tick(now_ns: server.now_ns, ringOverflowed: random.once(in: 8))
        // The others are alive, and the hostile client comes back when it has lost its session.
        for (victim, session) in [(0, victimSession), (1, smallSession)] {
          let alive = message(Header(opcode: Opcode.keepAlive.rawValue, session: session))
          #expect(server.send(alive, from: victims[victim]).map(\.header.statusCode) == [.ok])
        }
        let reply = server.attach(
          "hostile", from: hostile, id: UInt64(number) + 2, mtu: 1500, depth: 16)
        if let reply, reply.header.statusCode == .ok { fuzzer.sessions[0] = reply.header.sessionID }
      }
      let frame = fuzzer.next()
      let from = random.once(in: 50) ? MACAddress.broadcast : hostile
      let toGroup = random.once(in: 20)
      let replies = server.frames(frame, from: from, toGroup: toGroup)
      if server.pushes().contains(where: { $0.to != hostile }) {
        Issue.record("frame \(number): pushes to others")
      }
      let most = (frame.count / Wire.headerBytes + 1) * (3 * Wire.headerBytes + Wire.pageBytes)
      let bytes = replies.reduce(0) { $0 + $1.bytes.count }
      if !replies.isEmpty,
        bytes > most + Wire.maxMTU || from != hostile
          || replies.contains(where: { $0.to != hostile })
      {
        Issue.record("frame \(number): replies to others, or too many: \(bytes) bytes")
      }
      guard number % 65_536 == 0 || number == Environment.fuzzFrames - 1 else { continue }
      for slot in 0..<64 as Range<UInt64> {
        #expect(server.store.value(0, slot: slot) == slot + 1)
        #expect(server.store.value(1, slot: slot) == slot + 1)
      }
    }
    // Pages of the victims, the hostile quota, and a page beside its slot for every tag.
    #expect(server.store.peakFrames <= 128 + quota + 3 * 16)
    for slot in 0..<64 as Range<UInt64> {
      let read = server.read(slot: slot, session: victimSession, generation: UInt32(slot) + 1)
      #expect(server.send(read, from: victims[0]).flatMap(\.payload) == page(slot + 1))
    }
    let counters = server.core.counters
    #expect(counters.badChecksums > 0 && counters.badVersions > 0 && counters.badOpcodes > 0)
    #expect(counters.badMessages > 0 && counters.badSessions > 0 && counters.outOfRange > 0)
    #expect(counters.staleRequests > 0 && counters.truncatedFrames > 0 && counters.noSpace > 0)
    #expect(counters.postcopies > 0 && counters.pagesPushed > 0)
    server.finish()
  }

  @Test(
    "A hostile server makes a client complete no request twice, and none that was not asked for")
  func client() {
    let server = MACAddress.client(99)
    var fuzzer = Fuzzer(seed: UInt64(Environment.seed) + 2, sessions: [7, 8], replies: true)
    let buffers = UnsafeMutableRawPointer.allocate(
      byteCount: 9 * Wire.pageBytes, alignment: 4096)
    defer { buffers.deallocate() }
    // Behind the buffers lies what nobody may write.
    buffers.initializeMemory(as: UInt8.self, repeating: 0x5A, count: 9 * Wire.pageBytes)
    var frames = 0
    var now_ns: UInt64 = 1
    var packer = Packer()
    var totals = ClientCounters()
    while frames < Environment.fuzzFrames {
      var session = ClientSession(
        ClientConfiguration(
          region: RegionName("swap")!, mtu: 9000, queueDepth: 8, server: server,
          giveUp_ns: 50_000_000, attachID: 1))
      var pending: Set<UInt64> = []
      var request: UInt64 = 0
      var attachID: UInt64 = 1
      for _ in 0..<20_000 where frames < Environment.fuzzFrames {
        frames += 1
        now_ns += 5_000
        var completions = Completions()
        while pending.count < 8 {
          request += 1
          pending.insert(request)
          let slot = request % 8
          let operation: ClientSession.Operation =
            request % 3 == 0 ? .write : request % 17 == 0 ? .flush : .read
          if !session.submit(
            operation, slot: slot, buffer: buffers + Int(slot) * Wire.pageBytes,
            request: request, now_ns: now_ns)
          {
            Issue.record("no room for \(pending.count)")
          }
        }
        _ = session.poll(now_ns: now_ns, sink: &packer, completions: &completions)
        for sent in Received.all(in: packer.flush()) {
          guard sent.header.opcode == Opcode.attach.rawValue else {
            if fuzzer.asked.count >= 16 { fuzzer.asked.removeFirst() }
            fuzzer.asked.append(sent.header)
            continue
          }
          attachID = sent.payload.withUnsafeBytes { AttachRequest(payload: $0)!.attachID }
        }
        // Now and then a reply that opens the session; the rest is anything.
        let opens = frames % 64 == 0
        let frame = opens ? fuzzer.attached(id: attachID) : fuzzer.next()
        frame.withUnsafeBytes {
          session.receive(
            frame: $0, from: frames % 97 == 0 ? .client(3) : server, now_ns: now_ns,
            completions: &completions)
        }
        for (number, _) in completions.list where pending.remove(number) == nil {
          Issue.record("request \(number) completed twice")
        }
        if case .refused = session.state { break }
      }
      #expect(session.outstanding == pending.count)
      totals.completed += session.counters.completed
      totals.failed += session.counters.failed
      totals.attaches += session.counters.attaches
      totals.lateReplies += session.counters.lateReplies
      totals.badFrames += session.counters.badFrames
      totals.badChecksums += session.counters.badChecksums
    }
    // The frames reached what is behind each check.
    let some = UInt64(Environment.fuzzFrames / 1000)
    #expect(totals.completed > some && totals.failed > some && totals.attaches > 0, "\(totals)")
    #expect(totals.lateReplies > some && totals.badFrames > some, "\(totals)")
    #expect(totals.badChecksums > some, "\(totals)")
    let guardPage = UnsafeRawBufferPointer(
      start: buffers + 8 * Wire.pageBytes, count: Wire.pageBytes)
    #expect(guardPage.allSatisfy { $0 == 0x5A })
    #expect(packer.violations.isEmpty, "\(packer.violations)")
  }
}
