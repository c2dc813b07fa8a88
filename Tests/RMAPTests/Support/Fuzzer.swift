// SPDX-License-Identifier: Apache-2.0
import RMAP

/// Frames that are random, or nearly right: the latter mostly have one thing wrong, and in half of
/// the cases a checksum that is right all the same, so that the fields behind it are reached.
struct Fuzzer {
  private var random: SeededRandom
  /// Sessions that messages may claim to belong to.
  var sessions: [UInt32]
  private let replies: Bool
  /// Requests that replies may answer.
  var asked: [Header] = []
  private let contents = page(0xF00D)
  private var last: [UInt8] = []

  init(seed: UInt64, sessions: [UInt32], replies: Bool = false) {
    random = SeededRandom(seed: SeededRandom.mix(seed))
    self.sessions = sessions
    self.replies = replies
  }

  /// The next frame.
  mutating func next() -> [UInt8] {
    if random.once(in: 16) {
      return (0..<random.below(200)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }
    // An old frame again.
    if random.once(in: 16), !last.isEmpty { return last }
    var frame = nearlyRight()
    while random.once(in: 4), frame.count < 8000 { frame += nearlyRight() }
    switch random.below(24) {
    case 0: frame.removeLast(random.below(frame.count))
    case 1: frame += [UInt8](repeating: UInt8(random.below(2)), count: random.below(100))
    case 2: frame[random.below(frame.count)] ^= 1 << UInt8(random.below(8))
    default: break
    }
    if random.once(in: 64) { last = frame }
    return frame
  }

  /// The reply that grants a session to attach `id`.
  mutating func attached(id: UInt64) -> [UInt8] {
    let reply = Header(
      opcode: Opcode.attach.reply, session: random.pick(sessions), credits: UInt16(random.below(9)),
      generation: UInt32(truncatingIfNeeded: id))
    return message(reply, payload: grant(id: id))
  }

  private mutating func grant(id: UInt64) -> [UInt8] {
    func bytes<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
      withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
    return bytes(UInt64(64)) + bytes(id) + bytes(UInt64(random.below(3)))
      + bytes(random.pick([1416, 1500, 4136, 9000] as [UInt16]))
      + bytes(UInt16(random.within(1...8))) + bytes(UInt32(0)) + bytes(UInt32(300))
      + bytes(UInt32(0))
  }

  private mutating func nearlyRight() -> [UInt8] {
    let request = asked.isEmpty || random.once(in: 2) ? nil : asked[random.below(asked.count)]
    let opcode =
      request?.opcode
      ?? random.pick([1, 2, 2, 3, 3, 3, 3, 3, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 13, 14] as [UInt8])
    var header = Header(
      opcode: replies ? opcode | Opcode.replyBit : opcode, attempt: UInt8(random.below(3)),
      session: random.once(in: 4) ? random.pick(sessions) : sessions[0],
      tag: UInt16(random.below(random.once(in: 10) ? 20 : 8)), credits: UInt16(random.below(9)),
      generation: UInt32(random.below(100)), slot: UInt64(random.below(64)))
    if let request {
      header = request
      header.opcode |= Opcode.replyBit
      header.credits = UInt16(random.below(9)).littleEndian
      header.fragments = 0
      if random.once(in: 50) { header.opcode = Opcode.error.reply }
    }
    var payload: [UInt8] = []
    if replies, random.once(in: 10) { header.status = UInt8(random.below(16)) }
    let carriesPage = replies ? opcode == 2 : opcode == 3
    switch opcode {
    case 1 where replies: payload = grant(id: UInt64(random.below(4)))
    case 1:
      payload =
        AttachRequest(
          region: RegionName(random.pick(["victim", "small", "hostile", "nothing"]))!,
          token: .none, slots: UInt64(random.below(70)), attachID: random.next() >> 30,
          incarnation: UInt64(random.below(3)), mtu: UInt16(random.within(1410...9010)),
          queueDepth: UInt16(random.below(600))
        ).payload
    case 4: header.count = UInt32(random.within(1...8)).littleEndian
    case 11 where replies: payload = [UInt8](repeating: 0, count: 16)
    case 9...14 where !replies: payload = postcopy(opcode, &header)
    default: break
    }
    // To a client, a push that answers nothing.
    if replies, random.once(in: 6) {
      header = Header(
        opcode: Opcode.push.rawValue, session: sessions[0], generation: UInt32(random.below(80)),
        slot: UInt64(random.below(64)), ahead: Int8(truncatingIfNeeded: random.next()),
        count: UInt32(random.below(70)))
      let piece = random.below(8)
      header.fragments = piece < 3 ? 1 << UInt8(piece) : piece == 3 ? 0 : Wire.allFragments
      payload = piece < 3 ? fragment(piece, of: contents) : piece > 4 ? contents : []
      return spoiled(header, payload)
    }
    if carriesPage {
      let piece = random.below(8)
      header.fragments = piece < 3 ? 1 << UInt8(piece) : Wire.allFragments
      payload = piece < 3 ? fragment(piece, of: contents) : piece == 7 ? contents : []
    } else if opcode == 2 {
      header.fragments = UInt8(random.within(1...7))
    }
    if opcode == 8, !random.once(in: 20) { header.opcode = Opcode.flush.rawValue }
    return spoiled(header, payload)
  }

  /// The payload of what belongs to a post-copy, and what its header says.
  private mutating func postcopy(_ opcode: UInt8, _ header: inout Header) -> [UInt8] {
    switch opcode {
    case 9:
      header.count = UInt32(random.below(40)).littleEndian
      var payload = [UInt8](repeating: 0, count: random.within(1...5) * Wire.extentBytes)
      for index in 0..<payload.count / Wire.extentBytes {
        let extent = Extent(slot: UInt64(random.below(80)), count: UInt32(random.below(90)))
        payload.withUnsafeMutableBytes { extent.store(in: $0.baseAddress!, at: index) }
      }
      return payload
    case 10: return (0..<random.within(1...9)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    case 11:
      return BeginRequest(
        strategy: random.pick(["", "push", "demand-only", "no-such"]),
        rate_bytes_s: random.once(in: 2) ? 0 : UInt64(random.below(1_000_000)),
        extents: random.below(50), window: random.within(1...64),
        buffers: random.once(in: 2) ? nil : PushBuffers(address: random.next() | 1, key: 7)
      ).payload
    case 13:
      header.credits = UInt16(random.within(0...65)).littleEndian
      header.generation = UInt32(random.below(9)).littleEndian
      header.slot = (random.next() & random.next()).littleEndian
      return []
    default: return EndRequest(unused: UInt64(random.below(9))).payload
    }
  }

  /// The message with perhaps something wrong in it.
  private mutating func spoiled(_ header: Header, _ payload: [UInt8]) -> [UInt8] {
    var frame = message(header, payload: payload)
    let changes = random.below(3)
    guard changes > 0 else { return frame }
    for _ in 0..<changes {
      let at = random.below(Wire.headerBytes)
      switch random.below(4) {
      case 0: frame[at] = UInt8(truncatingIfNeeded: random.next())
      case 1: frame[at] = random.pick([0, 1, 0x7F, 0x80, 0xFF])
      case 2: frame[at] ^= 1 << UInt8(random.below(8))
      default:
        // A whole field at its end: slot, count, tag or length.
        let (offset, bytes) = random.pick([(16, 8), (28, 4), (8, 2), (24, 2)])
        let value: UInt8 = random.once(in: 2) ? 0xFF : 0
        for byte in offset..<offset + bytes { frame[byte] = value }
      }
    }
    if random.once(in: 2) { reseal(&frame) }
    return frame
  }

  /// Makes the checksum right again, over as much payload as the header now announces.
  private func reseal(_ frame: inout [UInt8]) {
    frame.withUnsafeMutableBytes { bytes in
      let header = Header(at: bytes.baseAddress!)
      guard Wire.headerBytes + header.payloadLength <= bytes.count else { return }
      let payload = UnsafeRawBufferPointer(
        start: bytes.baseAddress! + Wire.headerBytes, count: header.payloadLength)
      bytes.storeBytes(of: header.sealed(payloadHash: payloadHash(payload)), as: Header.self)
    }
  }
}
