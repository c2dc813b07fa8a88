// SPDX-License-Identifier: Apache-2.0
import Logging
import PageStore
import RMAP
import TestSupport
import Testing

@testable import MemoryServer

/// What a guest says whose frames are served, by messages that are right but for what they ask: memxd in dom0 serves
/// other guests, too.
@Suite struct HostileGuestTests {
  private static let slots = 100
  private let guest = GuestFrames(domain: 5)
  private let seats = RegionSeats(count: 1)
  private let peer = MACAddress("02:00:00:00:00:01")!

  /// Reads what is sent, as a link does.
  private struct Replies: FrameSink {
    var last: Header?
    var lastWord: UInt64?
    private var sum: UInt64 = 0

    mutating func append(
      _ header: Header, payload: UnsafeRawBufferPointer, to peer: MACAddress, mtu: Int
    ) {
      last = header
      lastWord = payload.count >= 8 ? payload.loadUnaligned(as: UInt64.self) : nil
      for byte in payload { sum &+= UInt64(byte) }
    }

    mutating func appendPadded(
      _ header: Header, copying payload: UnsafeRawBufferPointer, to peer: MACAddress, mtu: Int
    ) { append(header, payload: payload, to: peer, mtu: mtu) }
  }

  private func core() throws -> ServerCore<RegionTable> {
    let made = guest.makeTree(
      slots: UInt64(Self.slots), pages: Dictionary(uniqueKeysWithValues: (0..<50).map { ($0, 7) }))
    let tree = try FrameTree(
      FrameTree.Root(frame: made.root, generation: made.generation), of: 5, limit: 1000,
      mapper: guest)
    let region = Region(
      RegionConfiguration(name: RegionName("a")!, byteCount: Self.slots * 4096),
      foreign: try ForeignPages(tree, mapper: guest))
    #expect(seats.add(region))
    let table = RegionTable(
      [], seats: seats, engine: 1,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    return ServerCore(store: table, limits: ServerLimits(maxSessions: 2, mtu: 9000), seed: 1)
  }

  private func send(
    _ header: Header, _ payload: [UInt8] = [], to core: inout ServerCore<RegionTable>,
    _ replies: inout Replies, now_ns: UInt64
  ) {
    let sealed = payload.withUnsafeBytes { header.sealed(payloadHash: payloadHash($0)) }
    let frame = withUnsafeBytes(of: sealed) { Array($0) } + payload
    frame.withUnsafeBytes {
      core.receive(frame: $0, from: peer, toGroup: false, now_ns: now_ns, sink: &replies)
    }
  }

  /// - Returns: the session.
  private func attach(
    _ number: UInt64, to core: inout ServerCore<RegionTable>, _ replies: inout Replies,
    now_ns: UInt64
  ) throws -> UInt32 {
    let request = AttachRequest(
      region: RegionName("a")!, token: .none, slots: 0, attachID: number, incarnation: 0,
      mtu: 9000, queueDepth: 8)
    let payload = request.payload
    send(
      Header(opcode: Opcode.attach.rawValue, session: 0, length: payload.count), payload, to: &core,
      &replies, now_ns: now_ns)
    let reply = try #require(replies.last)
    #expect(reply.request == Opcode.attach.rawValue)
    #expect(reply.status == Status.ok.rawValue)
    return reply.sessionID
  }

  @Test(arguments: UInt64(1)...8)
  func whateverItAsksTheNextIsServed(seed: UInt64) throws {
    var core = try core()
    var replies = Replies()
    var random = SeededGenerator(seed: seed)
    var now_ns: UInt64 = 1_000_000_000
    var attaches: UInt64 = 1
    var session = try attach(attaches, to: &core, &replies, now_ns: now_ns)
    for number in 1...20_000 {
      now_ns += 10_000
      let opcode = UInt8(random.next() % 18)
      let isNear = random.next() % 4 != 0
      let length = [0, 0, 8, 64, 1024, 4096][Int(random.next() % 6)]
      let payload =
        opcode == Opcode.begin.rawValue && isNear
        ? BeginRequest(strategy: "streams+lru").payload
        : (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      send(
        Header(
          opcode: opcode, attempt: UInt8(random.next() % 3), session: session,
          tag: UInt16(random.next() % 8), generation: UInt32(number),
          slot: isNear ? random.next() % UInt64(Self.slots + 2) : random.next(),
          length: payload.count,
          fragments: [0, 1, Wire.allFragments][Int(random.next() % 3)],
          count: isNear ? UInt32(random.next() % 4) : UInt32(truncatingIfNeeded: random.next())),
        payload, to: &core, &replies, now_ns: now_ns)
      _ = core.push(now_ns: now_ns, sink: &replies)
      if number % 64 == 0 { core.tick(now_ns: now_ns, ringOverflowed: false) }
      core.store.reclaim()
      if core.sessionCount == 0 {
        attaches += 1
        session = try attach(attaches, to: &core, &replies, now_ns: now_ns)
      }
    }

    let counters = core.counters
    #expect(counters.reads > 100 && counters.discardRequests > 100, "most of it is heard")
    send(
      Header(opcode: Opcode.detach.rawValue, session: session), to: &core, &replies, now_ns: now_ns)
    core.store.reclaim()
    session = try attach(attaches + 1, to: &core, &replies, now_ns: now_ns)
    // What was not discarded is as it was.
    for slot in 0..<50 {
      send(
        Header(
          opcode: Opcode.read.rawValue, session: session, tag: 0,
          generation: UInt32(slot + 1), slot: UInt64(slot), fragments: Wire.allFragments),
        to: &core, &replies, now_ns: now_ns)
      #expect(replies.last?.request == Opcode.read.rawValue)
      #expect(replies.last?.status == Status.ok.rawValue)
      #expect([nil, 0, 7].contains(replies.lastWord))
    }
  }
}
