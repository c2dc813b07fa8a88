// SPDX-License-Identifier: Apache-2.0

// Replies, and how many errors are answered: PROTOCOL.md section 7.
extension ServerCore where Store: ~Copyable {
  mutating func refuse(
    _ status: Status, _ header: Header, session index: Int, sink: inout some FrameSink & ~Copyable
  ) {
    if status == .outOfRange {
      counters.outOfRange += 1
    } else {
      counters.badMessages += 1
      // The session's last word is the message that is refused.
      guard mayComplain(now_ns: table[index].lastHeard_ns) else { return }
    }
    store.note(.faulty(peer: table[index].peer, status: status))
    reply(status, to: header, session: index, sink: &sink)
  }

  func reply(
    _ status: Status, to header: Header, session index: Int,
    sink: inout some FrameSink & ~Copyable
  ) {
    let answer = replyHeader(status, to: header, session: index).sealed()
    sink.append(answer, to: table[index].peer, mtu: table[index].mtu)
  }

  func replyHeader(
    _ status: Status, to header: Header, session index: Int, length: Int = 0, fragments: UInt8 = 0
  ) -> Header {
    var answer = header
    answer.opcode = header.opcode | Opcode.replyBit
    answer.status = status.rawValue
    answer.credits = table[index].credits.littleEndian
    answer.length = UInt16(length).littleEndian
    answer.fragments = fragments
    answer.ahead = 0
    answer.count = 0
    return answer
  }

  /// May one more message that no right client sends be answered? At most 100 a second are, whoever
  /// sends them (section 7).
  mutating func mayComplain(now_ns: UInt64) -> Bool {
    if now_ns &- errorWindow_ns >= 1_000_000_000 {
      errorWindow_ns = now_ns
      errorsInWindow = 0
    }
    guard errorsInWindow < 100 else {
      counters.errorsSuppressed += 1
      return false
    }
    errorsInWindow += 1
    return true
  }

  mutating func sendError(
    _ status: Status, answering header: Header, to peer: MACAddress, now_ns: UInt64,
    sink: inout some FrameSink & ~Copyable
  ) {
    guard mayComplain(now_ns: now_ns) else { return }
    store.note(.faulty(peer: peer, status: status))
    var answer = header
    answer.version = Wire.version
    answer.opcode = Opcode.error.reply
    answer.status = status.rawValue
    answer.credits = 0
    answer.length = 0
    answer.fragments = 0
    answer.ahead = 0
    answer.count = 0
    sink.append(answer.sealed(), to: peer, mtu: Wire.minMTU)
  }
}
