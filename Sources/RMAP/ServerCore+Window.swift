// SPDX-License-Identifier: Apache-2.0

// One-sided access: PROTOCOL.md section 10.
extension ServerCore where Store: ~Copyable {
  /// WINDOW: lets the client reach the region's memory directly, if there is such memory and the link can do that.
  mutating func window(
    _ message: Message, session index: Int, sink: inout some FrameSink & ~Copyable
  ) {
    let header = message.header
    guard header.payloadLength == 0 else {
      return refuse(.badMessage, header, session: index, sink: &sink)
    }
    guard let (at, _) = admit(header, session: index, sink: &sink) else { return }
    let (peer, slots) = (table[index].peer, table[index].slots)
    guard let memory = store.memory(table[index].region),
      let key = sink.openWindow(
        on: .init(rebasing: memory[..<(Int(slots) * Wire.pageBytes)]), for: peer)
    else { return finish(.noWindow, at, header, session: index, sink: &sink) }
    tags[at].done = true
    tags[at].status = .ok
    var raw = MemoryWindow(
      address: UInt64(UInt(bitPattern: memory.baseAddress!)), slots: slots, key: key
    ).raw
    withUnsafeBytes(of: &raw) { bytes in
      let answer = replyHeader(.ok, to: header, session: index, length: bytes.count)
        .sealed(payloadHash: payloadHash(bytes))
      sink.appendPadded(answer, copying: bytes, to: peer, mtu: Wire.minMTU)
    }
  }
}
