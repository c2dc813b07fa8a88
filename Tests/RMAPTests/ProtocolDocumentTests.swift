// SPDX-License-Identifier: Apache-2.0
import CRMAP
import RMAP
import Testing

/// docs/PROTOCOL.md says what the code does.
@Suite struct ProtocolDocumentTests {
  @Test func everyKindOfMessageHasAnExample() throws {
    let titles = try ProtocolDocument().examples().map(\.title)
    #expect(
      titles == [
        "ATTACH", "reply to ATTACH", "READ", "reply to READ", "WRITE, fragment 0",
        "WRITE, fragment 1", "WRITE, fragment 2", "reply to WRITE", "WRITE of zeros", "DISCARD",
        "ERROR", "HINT", "HAVE", "BEGIN", "reply to BEGIN", "PUSH", "PUSHED", "END", "WINDOW",
        "reply to WINDOW",
      ])
  }

  @Test(arguments: try ProtocolDocument().examples())
  func example(_ example: ProtocolDocument.Example) throws {
    var reader = try Expectations(example.expectations)
    try example.bytes.withUnsafeBytes { bytes in
      var messages = MessageReader(bytes)
      guard case .message(let message) = messages.next() else {
        Issue.record("\(example.title) is no valid message")
        return
      }
      guard case .end = messages.next() else {
        Issue.record("\(example.title) has bytes behind the message")
        return
      }
      let header = message.header
      let opcode = try #require(Opcode(rawValue: header.request))
      let status = try #require(header.statusCode)
      #expect(wireName(opcode) == reader.text("opcode"))
      #expect(header.isReply == (reader.number("reply") == 1))
      #expect(wireName(status) == reader.text("status", standard: "OK"))
      #expect(UInt64(header.attempt) == reader.number("attempt"))
      #expect(UInt64(header.sessionID) == reader.number("session"))
      #expect(UInt64(header.tagIndex) == reader.number("tag"))
      #expect(UInt64(header.creditCount) == reader.number("credits"))
      #expect(UInt64(header.generationNumber) == reader.number("generation"))
      #expect(header.slotIndex == reader.number("slot"))
      #expect(UInt64(header.payloadLength) == reader.number("length"))
      #expect(UInt64(header.fragments) == reader.number("fragments"))
      #expect(UInt64(header.slotCount) == reader.number("count"))
      #expect(Int64(header.ahead) == Int64(bitPattern: reader.number("ahead")))
      #expect(header.version == Wire.version)

      var payload = Array(message.payload)
      if opcode == .attach, !header.isReply {
        payload = try checkAttach(message.payload, &reader)
      } else if opcode == .attach {
        payload = try checkAttached(message.payload, &reader)
      } else {
        payload = try checkPostcopy(opcode, header.isReply, message.payload, &reader) ?? payload
      }
      let again = Header(
        opcode: header.isReply ? opcode.reply : opcode.rawValue, status: status,
        attempt: header.attempt, session: header.sessionID, tag: header.tagIndex,
        credits: header.creditCount, generation: header.generationNumber, slot: header.slotIndex,
        fragments: header.fragments, ahead: header.ahead, count: UInt32(header.slotCount))
      #expect(RMAPTests.message(again, payload: payload) == example.bytes)
    }
    #expect(reader.unread.isEmpty)
  }

  /// - Returns: the payload made again from what was read.
  private func checkAttach(
    _ payload: UnsafeRawBufferPointer, _ reader: inout Expectations
  ) throws -> [UInt8] {
    let attach = try #require(AttachRequest(payload: payload))
    #expect(attach.region.description == reader.text("region"))
    let token = try #require(Token(reader.text("token")))
    #expect(attach.token.matches(token))
    #expect(attach.slots == reader.number("slots"))
    #expect(attach.attachID == reader.number("attach_id"))
    #expect(attach.incarnation == reader.number("incarnation"))
    #expect(UInt64(attach.mtu) == reader.number("mtu"))
    #expect(UInt64(attach.queueDepth) == reader.number("queue_depth"))
    return attach.payload
  }

  /// - Returns: the payload made again from what was read.
  private func checkAttached(
    _ payload: UnsafeRawBufferPointer, _ reader: inout Expectations
  ) throws -> [UInt8] {
    let attached = try #require(AttachReply(payload: payload))
    #expect(attached.slots == reader.number("slots"))
    #expect(attached.attachID == reader.number("attach_id"))
    #expect(attached.incarnation == reader.number("incarnation"))
    #expect(UInt64(attached.mtu) == reader.number("mtu"))
    #expect(UInt64(attached.queueDepth) == reader.number("queue_depth"))
    #expect(attached.lost == (reader.number("lost") == 1))
    #expect(UInt64(attached.sessionTimeout_ms) == reader.number("session_timeout_ms"))
    return attached.payload
  }

  /// - Returns: the payload made again from what was read; nil when it has no structure.
  private func checkPostcopy(
    _ opcode: Opcode, _ isReply: Bool, _ payload: UnsafeRawBufferPointer,
    _ reader: inout Expectations
  ) throws -> [UInt8]? {
    switch opcode {
    case .hint:
      var again = [UInt8](repeating: 0, count: payload.count)
      for index in 0..<payload.count / Wire.extentBytes {
        let extent = Extent(payload, at: index)
        #expect(extent.slot == reader.number("extent\(index)"))
        #expect(UInt64(extent.count) == reader.number("count\(index)"))
        again.withUnsafeMutableBytes { extent.store(in: $0.baseAddress!, at: index) }
      }
      return again
    case .have:
      let digits = payload.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
      #expect(digits == reader.text("bitmap"))
      return nil
    case .begin where isReply:
      let pages = payload.loadUnaligned(as: rmap_begun.self).pages
      #expect(UInt64(littleEndian: pages) == reader.number("pages"))
      return nil
    case .begin:
      let begin = try #require(BeginRequest(payload: payload))
      #expect(begin.strategy == reader.text("strategy"))
      #expect(begin.rate_bytes_s == reader.number("rate"))
      #expect(UInt64(begin.extents) == reader.number("extents"))
      #expect(UInt64(begin.window) == reader.number("window"))
      #expect(begin.buffers?.address == reader.number("buffers"))
      #expect((begin.buffers?.key).map(UInt64.init) == reader.number("key"))
      return begin.payload
    case .end where !isReply:
      let end = try #require(EndRequest(payload: payload))
      #expect(end.unused == reader.number("unused"))
      return end.payload
    case .window where isReply:
      let window = try #require(MemoryWindow(payload))
      #expect(window.address == reader.number("address"))
      #expect(window.slots == reader.number("slots"))
      #expect(UInt64(window.key) == reader.number("key"))
      return withUnsafeBytes(of: window.raw) { Array($0) }
    default:
      return nil
    }
  }

  // MARK: Tables

  @Test func statusCodesAgree() throws {
    let rows = try ProtocolDocument().rows
    for status in Status.allCases where status != .ok {
      #expect(
        rows.contains { $0.prefix(2) == ["\(status.rawValue)", wireName(status)] }, "\(status)")
    }
    let named = rows.filter { $0.count == 3 && Int($0[0]) != nil && $0[1].contains("_") }
    #expect(named.count(where: { Status(rawValue: UInt8($0[0])!) == nil }) == 0)
    #expect(Status.allCases.map(\.rawValue) == Array(0...UInt8(RMAP_NO_WINDOW.rawValue)))
  }

  @Test func opcodesAgree() throws {
    let rows = try ProtocolDocument().rows
    for opcode in Opcode.allCases {
      #expect(
        rows.contains { $0.prefix(2) == ["\(opcode.rawValue)", wireName(opcode)] }, "\(opcode)")
    }
    for opcode in [Opcode.read, .write, .discard, .flush, .hint, .have, .begin, .end] {
      #expect(rows.contains { $0[0] == "\(opcode.rawValue) \(wireName(opcode))" }, "\(opcode)")
    }
    #expect(UInt32(Opcode.replyBit) == RMAP_REPLY.rawValue)
    #expect(UInt32(Opcode.error.rawValue) == RMAP_ERROR.rawValue)
  }

  @Test func headerFieldsAgree() throws {
    let offsets: [(String, Int?, Int)] = [
      ("version", MemoryLayout.offset(of: \Header.version), 1),
      ("opcode", MemoryLayout.offset(of: \Header.opcode), 1),
      ("status", MemoryLayout.offset(of: \Header.status), 1),
      ("attempt", MemoryLayout.offset(of: \Header.attempt), 1),
      ("session", MemoryLayout.offset(of: \Header.session), 4),
      ("tag", MemoryLayout.offset(of: \Header.tag), 2),
      ("credits", MemoryLayout.offset(of: \Header.credits), 2),
      ("generation", MemoryLayout.offset(of: \Header.generation), 4),
      ("slot", MemoryLayout.offset(of: \Header.slot), 8),
      ("length", MemoryLayout.offset(of: \Header.length), 2),
      ("fragments", MemoryLayout.offset(of: \Header.fragments), 1),
      ("ahead", MemoryLayout.offset(of: \Header.ahead), 1),
      ("count", MemoryLayout.offset(of: \Header.count), 4),
      ("checksum", MemoryLayout.offset(of: \Header.checksum), 8),
    ]
    let rows = try ProtocolDocument().rows
    for (name, offset, bytes) in offsets {
      let first = try #require(offset)
      let place = bytes == 1 ? "\(first)" : "\(first)–\(first + bytes - 1)"
      #expect(rows.contains { $0.prefix(2) == [place, "`\(name)`"] }, "\(name) at \(place)")
    }
  }

  @Test func limitsAgree() throws {
    let rows = try ProtocolDocument().rows
    func limit(_ what: String) throws -> String {
      try #require(rows.first { $0[0] == what }?[1], "\(what)")
    }
    #expect(try limit("slots in a region") == "2³² (16 TiB)")
    #expect(Wire.maxSlots == 1 << 32)
    #expect(try limit("requests outstanding in a session") == "\(Wire.maxQueueDepth)")
    #expect(try limit("slots in a DISCARD") == "2¹⁶")
    #expect(Wire.maxDiscardSlots == 1 << 16)
    #expect(try limit("pushes on their way in a session") == "\(Wire.pushWindow)")
    #expect(try limit("slots announced by one header") == "\(Wire.maxAnnounced)")
    #expect(try limit("extents in a HINT") == "\(Wire.maxHintExtents)")
    #expect(try limit("extents in an LRU order") == "2²⁰")
    #expect(Wire.maxOrderExtents == 1 << 20)
    #expect(try limit("bytes of bitmap in a HAVE") == grouped(Wire.maxHaveBytes))
    #expect(try limit("strategy name").hasPrefix("0 to \(Wire.strategyBytes) bytes"))
    #expect(try limit("MTU") == "\(grouped(Wire.minMTU)) to \(grouped(Wire.maxMTU))")
    #expect(try limit("region name").hasPrefix("1 to \(Wire.regionNameBytes - 1) bytes"))
    #expect(try limit("token") == "0 to \(Wire.tokenBytes) bytes")
  }

  /// A number as the document writes it: 9,000.
  private func grouped(_ number: Int) -> String {
    let rest = "\(number % 1000)"
    return "\(number / 1000)," + String(repeating: "0", count: 3 - rest.count) + rest
  }
}

/// What an example says that its fields are; each has to be asked for.
private struct Expectations {
  private(set) var unread: [String: String]

  init(_ stated: [String: String]) throws {
    unread = stated
  }

  mutating func text(_ name: String, standard: String = "") -> String {
    unread.removeValue(forKey: name) ?? standard
  }

  /// A number, 0 when the field is not named.
  mutating func number(_ name: String) -> UInt64 {
    let text = text(name, standard: "0")
    if text == "none" { return UInt64(Wire.noTag) }
    return text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16)! : UInt64(text)!
  }
}

/// The name of an opcode as the document writes it.
private func wireName(_ opcode: Opcode) -> String {
  "\(opcode)".uppercased()
}

/// The name of a status as the document writes it: BAD_MESSAGE.
private func wireName(_ status: Status) -> String {
  switch status {
  case .ok: "OK"
  case .badVersion: "BAD_VERSION"
  case .badOpcode: "BAD_OPCODE"
  case .badMessage: "BAD_MESSAGE"
  case .badSession: "BAD_SESSION"
  case .noRegion: "NO_REGION"
  case .denied: "DENIED"
  case .busy: "BUSY"
  case .tooLarge: "TOO_LARGE"
  case .outOfRange: "OUT_OF_RANGE"
  case .noSpace: "NO_SPACE"
  case .lost: "LOST"
  case .ioError: "IO_ERROR"
  case .tooMany: "TOO_MANY"
  case .noStrategy: "NO_STRATEGY"
  case .readOnly: "READ_ONLY"
  case .noWindow: "NO_WINDOW"
  }
}
