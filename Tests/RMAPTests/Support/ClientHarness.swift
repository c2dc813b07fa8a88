// SPDX-License-Identifier: Apache-2.0
import RMAP
import Testing

/// A client's session whose server is played by the test, message by message.
final class ClientHarness {
  static let server = MACAddress.client(500)

  var session: ClientSession
  var now_ns: UInt64 = 1_000_000_000
  /// When the session wants to be polled next.
  private(set) var next_ns: UInt64 = 0
  private(set) var completions = Completions()
  private var packer = Packer()
  private let buffers: UnsafeMutableRawPointer
  private let depth: Int
  private var requests: UInt64 = 0

  init(
    mtu: Int = 9000, depth: Int = 8, giveUp_ns: UInt64 = 30_000_000_000,
    server: MACAddress = ClientHarness.server, attachID: UInt64 = 10
  ) {
    self.depth = depth
    session = ClientSession(
      ClientConfiguration(
        region: RegionName("swap")!, mtu: mtu, queueDepth: depth, server: server,
        giveUp_ns: giveUp_ns, attachID: attachID))
    buffers = .allocate(byteCount: depth * Wire.pageBytes, alignment: 16)
    buffers.initializeMemory(as: UInt8.self, repeating: 0, count: depth * Wire.pageBytes)
  }

  deinit { buffers.deallocate() }

  /// The frames that the session sends now.
  func frames() -> [Frame] {
    next_ns = session.poll(now_ns: now_ns, sink: &packer, completions: &completions)
    return packer.flush()
  }

  /// The messages that the session sends now.
  func sent() -> [Received] {
    Received.all(in: frames())
  }

  /// Polls when the session wants to be, until it sends something or `limit_ns` from now is over.
  func sentLater(limit_ns: UInt64) -> [Received] {
    let end_ns = now_ns + limit_ns
    while true {
      let messages = sent()
      if !messages.isEmpty || next_ns > end_ns { return messages }
      now_ns = max(now_ns + 1, next_ns)
    }
  }

  /// Asks for something; the buffer is the request's own.
  @discardableResult
  func submit(
    _ operation: ClientSession.Operation = .read, slot: UInt64 = 0, count: UInt32 = 1,
    page contents: [UInt8]? = nil
  ) -> UInt64 {
    requests += 1
    let buffer = buffers + Int(requests) % depth * Wire.pageBytes
    contents.map { buffer.copyMemory(from: $0, byteCount: Wire.pageBytes) }
    let taken = session.submit(
      operation, slot: slot, count: count, buffer: buffer, request: requests, now_ns: now_ns)
    #expect(taken)
    return requests
  }

  /// The page in the buffer of a request.
  func buffer(of request: UInt64) -> [UInt8] {
    Array(
      UnsafeRawBufferPointer(
        start: buffers + Int(request) % depth * Wire.pageBytes, count: Wire.pageBytes))
  }

  /// Gives the session a frame.
  func receive(_ frame: [UInt8], from peer: MACAddress = ClientHarness.server) {
    frame.withUnsafeBytes {
      session.receive(frame: $0, from: peer, now_ns: now_ns, completions: &completions)
    }
  }

  /// Answers a message that the session has sent.
  func answer(
    _ request: Received, _ status: Status = .ok, fragments: UInt8 = 0, credits: UInt16 = 100,
    payload: [UInt8] = []
  ) {
    receive(Self.reply(request, status, fragments: fragments, credits: credits, payload: payload))
  }

  static func reply(
    _ request: Received, _ status: Status = .ok, fragments: UInt8 = 0, credits: UInt16 = 100,
    payload: [UInt8] = []
  ) -> [UInt8] {
    var header = request.header
    header.opcode |= Opcode.replyBit
    header.status = status.rawValue
    header.credits = credits.littleEndian
    header.fragments = fragments
    header.count = 0
    return message(header, payload: payload)
  }

  /// Grants what an ATTACH asks for.
  func grant(
    _ attach: Received, session id: UInt32 = 0x7001, depth: UInt16? = nil, mtu: UInt16? = nil,
    credits: UInt16 = 100, timeout_ms: UInt32 = 30_000
  ) {
    let asked = attach.payload.withUnsafeBytes { AttachRequest(payload: $0)! }
    let grant = AttachReply(
      slots: 1000, attachID: asked.attachID, incarnation: 5, mtu: mtu ?? asked.mtu,
      queueDepth: depth ?? asked.queueDepth, lost: false, sessionTimeout_ms: timeout_ms)
    var header = attach.header
    header.opcode = Opcode.attach.reply
    header.session = id.littleEndian
    header.credits = credits.littleEndian
    receive(message(header, payload: grant.payload))
  }

  /// Lets the session attach.
  func attach(depth: UInt16? = nil, credits: UInt16 = 100, timeout_ms: UInt32 = 30_000) throws {
    let attaches = sent()
    #expect(attaches.map(\.header.opcode) == [Opcode.attach.rawValue])
    grant(try #require(attaches.first), depth: depth, credits: credits, timeout_ms: timeout_ms)
    #expect(session.state == .live)
  }

  /// What has completed since the last time.
  func completed() -> [UInt64: Outcome] {
    defer { completions.list = [] }
    return Dictionary(uniqueKeysWithValues: completions.list.map { ($0.request, $0.outcome) })
  }
}

extension AttachReply {
  /// The payload's bytes.
  var payload: [UInt8] {
    func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
      withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
    return bytes(slots) + bytes(attachID) + bytes(incarnation) + bytes(mtu) + bytes(queueDepth)
      + bytes(UInt32(lost ? 1 : 0)) + bytes(sessionTimeout_ms) + bytes(UInt32(0))
  }
}
