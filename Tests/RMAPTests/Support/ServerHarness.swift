// SPDX-License-Identifier: Apache-2.0
import RMAP
import Testing

/// A server on a store in memory, spoken to message by message.
final class ServerHarness {
  let store: MemoryStoreState
  var core: ServerCore<MemoryStore>
  var now_ns: UInt64 = 1_000_000_000
  private var packer = Packer()

  init(
    _ regions: [MemoryStoreState.Region] = [.init("swap", slots: 100)],
    limits: ServerLimits = ServerLimits(maxSessions: 4, mtu: 9000, queueDepth: 16)
  ) {
    store = MemoryStoreState(regions)
    core = ServerCore(store: MemoryStore(state: store), limits: limits, seed: 42)
  }

  /// What the server did that it must not, and what it left behind.
  var violations: [String] { store.violations + packer.violations }

  /// Where clients have their pushes written.
  var pushBuffers: [MACAddress: PushBuffers] { packer.pushBuffers }

  /// Gives the server a frame.
  ///
  /// - Returns: its replies, frame by frame.
  func frames(_ frame: [UInt8], from peer: MACAddress, toGroup: Bool = false) -> [Frame] {
    frame.withUnsafeBytes {
      core.receive(frame: $0, from: peer, toGroup: toGroup, now_ns: now_ns, sink: &packer)
    }
    defer { store.flushed() }
    return packer.flush()
  }

  /// Gives the server a frame.
  ///
  /// - Returns: its replies.
  @discardableResult
  func send(_ frame: [UInt8], from peer: MACAddress, toGroup: Bool = false) -> [Received] {
    Received.all(in: frames(frame, from: peer, toGroup: toGroup))
  }

  /// Lets the server push.
  ///
  /// - Returns: what it sends.
  func pushes() -> [Frame] {
    _ = core.push(now_ns: now_ns, sink: &packer)
    defer { store.flushed() }
    return packer.flush()
  }

  /// Asks for a session.
  ///
  /// - Returns: the header of the reply, nil when there is none.
  func attach(
    _ region: String = "swap", from peer: MACAddress, token: String = "", slots: UInt64 = 0,
    id: UInt64 = 1, incarnation: UInt64 = 0, mtu: UInt16 = 9000, depth: UInt16 = 8,
    toGroup: Bool = false
  ) -> Received? {
    let request = AttachRequest(
      region: RegionName(region)!, token: Token(token)!, slots: slots, attachID: id,
      incarnation: incarnation, mtu: mtu, queueDepth: depth)
    let header = Header(
      opcode: Opcode.attach.rawValue, session: 0, generation: UInt32(truncatingIfNeeded: id))
    let replies = send(message(header, payload: request.payload), from: peer, toGroup: toGroup)
    #expect(replies.count <= 1)
    return replies.first
  }

  /// Opens a session that must be granted.
  func session(
    _ region: String = "swap", from peer: MACAddress, id: UInt64 = 1, mtu: UInt16 = 9000,
    depth: UInt16 = 8
  ) throws -> UInt32 {
    let reply = try #require(attach(region, from: peer, id: id, mtu: mtu, depth: depth))
    #expect(reply.header.statusCode == .ok)
    return reply.header.sessionID
  }

  /// A WRITE of a whole page.
  func write(
    _ value: UInt64, slot: UInt64, session: UInt32, tag: UInt16 = 0, generation: UInt32
  ) -> [UInt8] {
    message(
      Header(
        opcode: Opcode.write.rawValue, session: session, tag: tag, generation: generation,
        slot: slot, fragments: Wire.allFragments), payload: page(value))
  }

  /// A WRITE of one fragment of a page.
  func write(
    fragment index: Int, of value: UInt64, slot: UInt64, session: UInt32, tag: UInt16 = 0,
    generation: UInt32
  ) -> [UInt8] {
    message(
      Header(
        opcode: Opcode.write.rawValue, session: session, tag: tag, generation: generation,
        slot: slot, fragments: 1 << UInt8(index)), payload: fragment(index, of: page(value)))
  }

  /// A READ.
  func read(
    slot: UInt64, session: UInt32, tag: UInt16 = 1, generation: UInt32,
    fragments: UInt8 = Wire.allFragments
  ) -> [UInt8] {
    message(
      Header(
        opcode: Opcode.read.rawValue, session: session, tag: tag, generation: generation,
        slot: slot, fragments: fragments))
  }

  /// Closes all sessions and checks that nothing is left of them.
  func finish() {
    core.closeAll()
    store.flushed()
    #expect(store.staged == 0)
    #expect(store.leaked == 0)
    #expect(store.claims == 0)
    #expect(violations.isEmpty, "\(violations)")
  }
}
