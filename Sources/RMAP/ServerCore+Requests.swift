// SPDX-License-Identifier: Apache-2.0

// Requests: PROTOCOL.md section 3.
extension ServerCore where Store: ~Copyable {
  /// Compares a message's cookie with its tag's, and readies the tag for a new request; refuses what no right client
  /// sends.
  ///
  /// - Returns: the tag's place, and whether the request has been here before; nil when there is nothing more to do.
  mutating func admit(
    _ header: Header, session index: Int, sink: inout some FrameSink & ~Copyable
  ) -> (at: Int, isAgain: Bool)? {
    let tag = Int(header.tagIndex)
    guard tag < table[index].queueDepth else {
      refuse(.badMessage, header, session: index, sink: &sink)
      return nil
    }
    let at = index * limits.queueDepth + tag
    let distance = Int32(bitPattern: header.generationNumber &- tags[at].generation)
    // No request has opcode 0: a tag not used yet has seen nothing that could come again.
    if distance < 0 || distance == 0 && tags[at].opcode == 0 {
      counters.staleRequests += 1
      return nil
    }
    if distance == 0 {
      counters.repeatedRequests += 1
      guard tags[at].opcode == header.opcode, tags[at].slot == header.slotIndex else {
        refuse(.badMessage, header, session: index, sink: &sink)
        return nil
      }
      return (at, isAgain: true)
    }
    if let staged = tags[at].staged { store.abandon(table[index].region, page: staged) }
    tags[at].generation = header.generationNumber
    tags[at].opcode = header.opcode
    tags[at].slot = header.slotIndex
    tags[at].done = false
    tags[at].missing = 0
    tags[at].staged = nil
    return (at, isAgain: false)
  }

  /// The tag's place of a request that is to be carried out once; nil when it has been, and is only answered again, or
  /// cannot be.
  mutating func admitOnce(
    _ header: Header, session index: Int, sink: inout some FrameSink & ~Copyable
  ) -> Int? {
    guard let (at, isAgain) = admit(header, session: index, sink: &sink) else { return nil }
    guard isAgain else { return at }
    reply(tags[at].status, to: header, session: index, sink: &sink)
    return nil
  }

  mutating func read(
    _ message: Message, session index: Int, sink: inout some FrameSink & ~Copyable
  ) {
    let header = message.header
    let wanted = header.fragments
    guard wanted != 0, wanted & ~Wire.allFragments == 0, header.payloadLength == 0 else {
      return refuse(.badMessage, header, session: index, sink: &sink)
    }
    guard admit(header, session: index, sink: &sink) != nil else { return }
    let slot = header.slotIndex
    guard slot < table[index].slots else {
      return refuse(.outOfRange, header, session: index, sink: &sink)
    }
    if pushing > 0 {
      noteAsked(
        session: index, context: UInt32(header.slotCount), now_ns: table[index].lastHeard_ns)
    }
    let inPostcopy = store.isInTransfer(table[index].region)
    if inPostcopy, !fetch(header, session: index) { return }
    counters.reads += 1
    let (peer, mtu) = (table[index].peer, table[index].mtu)
    switch store.load(table[index].region, slot: slot) {
    case .zeros:
      counters.zeroReads += 1
      let answer = replyHeader(
        .ok, to: header, session: index, fragments: Wire.allFragments
      ).sealed()
      sink.append(answer, to: peer, mtu: mtu)
    case .lost:
      counters.lostReads += 1
      reply(.lost, to: header, session: index, sink: &sink)
    case .unreadable:
      counters.ioErrors += 1
      reply(.ioError, to: header, session: index, sink: &sink)
    case .page(let page, let hashes):
      var answer = replyHeader(.ok, to: header, session: index)
      if inPostcopy {
        let announced = announcement(session: index)
        answer.count = UInt32(truncatingIfNeeded: announced.first).littleEndian
        answer.ahead = announced.ahead
      }
      sendPage(page, hashes, answer, to: peer, mtu: mtu, wanted: wanted, sink: &sink)
    }
  }

  /// Sends a page as one message, or the wanted ones of its fragments.
  ///
  /// - Parameter header: what all of them say.
  @inline(__always)
  func sendPage(
    _ page: UnsafeRawPointer, _ hashes: PageHashes, _ header: Header, to peer: MACAddress,
    mtu: Int, wanted: UInt8, sink: inout some FrameSink & ~Copyable
  ) {
    var header = header
    if mtu >= Wire.wholePageMTU {
      let bytes = UnsafeRawBufferPointer(start: page, count: Wire.pageBytes)
      header.length = UInt16(Wire.pageBytes).littleEndian
      header.fragments = Wire.allFragments
      let hash = hashes.whole != 0 ? hashes.whole : payloadHash(bytes)
      sink.append(header.sealed(payloadHash: hash), payload: bytes, to: peer, mtu: mtu)
      return
    }
    for fragment in 0..<Wire.fragments where wanted & 1 << UInt8(fragment) != 0 {
      let bytes = UnsafeRawBufferPointer(
        start: page + Wire.fragmentOffset(fragment), count: Wire.fragmentLength(fragment))
      header.length = UInt16(bytes.count).littleEndian
      header.fragments = 1 << UInt8(fragment)
      let hash = hashes[fragment] != 0 ? hashes[fragment] : payloadHash(bytes)
      sink.append(header.sealed(payloadHash: hash), payload: bytes, to: peer, mtu: mtu)
    }
  }

  mutating func write(
    _ message: Message, session index: Int, sink: inout some FrameSink & ~Copyable
  ) {
    let header = message.header
    let carried = header.fragments
    let length = header.payloadLength
    let single = carried != 0 && carried & (carried &- 1) == 0 && carried <= 4
    let fragment = carried.trailingZeroBitCount
    guard
      carried == Wire.allFragments && (length == Wire.pageBytes || length == 0)
        || single && length == Wire.fragmentLength(fragment)
    else { return refuse(.badMessage, header, session: index, sink: &sink) }
    guard let (at, isAgain) = admit(header, session: index, sink: &sink) else { return }
    guard !isAgain || !tags[at].done else {
      return reply(tags[at].status, to: header, session: index, sink: &sink)
    }
    let slot = header.slotIndex
    let region = table[index].region
    guard slot < table[index].slots else {
      counters.outOfRange += 1
      return finish(.outOfRange, at, header, session: index, sink: &sink)
    }
    guard !store.isReadOnly(region) else {
      return finish(.readOnly, at, header, session: index, sink: &sink)
    }
    if carried == Wire.allFragments && length == 0 {
      if let staged = tags[at].staged { store.abandon(region, page: staged) }
      store.clear(region, slot: slot, count: 1)
      counters.writes += 1
      return finish(.ok, at, header, session: index, sink: &sink)
    }
    if tags[at].staged == nil {
      guard let page = store.stage(region, slot: slot) else {
        counters.noSpace += 1
        return finish(.noSpace, at, header, session: index, sink: &sink)
      }
      tags[at].staged = page
      tags[at].missing = Wire.allFragments
      tags[at].hashes = PageHashes()
    }
    let page = tags[at].staged!
    let fresh = carried & tags[at].missing
    guard fresh != 0 else { return }
    if carried == Wire.allFragments {
      page.bytes.copyMemory(from: message.payload.baseAddress!, byteCount: Wire.pageBytes)
      tags[at].hashes = PageHashes(whole: message.payloadHash)
    } else {
      (page.bytes + Wire.fragmentOffset(fragment)).copyMemory(
        from: message.payload.baseAddress!, byteCount: length)
      tags[at].hashes[fragment] = message.payloadHash
    }
    tags[at].missing &= ~carried
    guard tags[at].missing == 0 else { return }
    store.commit(region, slot: slot, page: page, hashes: tags[at].hashes)
    counters.writes += 1
    finish(.ok, at, header, session: index, sink: &sink)
  }

  mutating func discard(
    _ message: Message, session index: Int, sink: inout some FrameSink & ~Copyable
  ) {
    let header = message.header
    guard (1...Wire.maxDiscardSlots).contains(header.slotCount), header.payloadLength == 0 else {
      return refuse(.badMessage, header, session: index, sink: &sink)
    }
    guard let at = admitOnce(header, session: index, sink: &sink) else { return }
    let (slot, slots) = (header.slotIndex, table[index].slots)
    guard slot < slots, slots - slot >= UInt64(header.slotCount) else {
      counters.outOfRange += 1
      return finish(.outOfRange, at, header, session: index, sink: &sink)
    }
    store.clear(table[index].region, slot: slot, count: header.slotCount)
    counters.discardRequests += 1
    counters.discardedSlots += UInt64(header.slotCount)
    finish(.ok, at, header, session: index, sink: &sink)
  }

  /// Every write that was acknowledged is as durable as the region makes it, so there is nothing
  /// to wait for.
  mutating func flush(
    _ message: Message, session index: Int, sink: inout some FrameSink & ~Copyable
  ) {
    let header = message.header
    guard header.payloadLength == 0 else {
      return refuse(.badMessage, header, session: index, sink: &sink)
    }
    guard let (at, _) = admit(header, session: index, sink: &sink) else { return }
    counters.flushes += 1
    finish(.ok, at, header, session: index, sink: &sink)
  }

  /// Marks a request as carried out and answers it.
  mutating func finish(
    _ status: Status, _ at: Int, _ header: Header, session index: Int,
    sink: inout some FrameSink & ~Copyable
  ) {
    tags[at].done = true
    tags[at].status = status
    tags[at].missing = 0
    tags[at].staged = nil
    reply(status, to: header, session: index, sink: &sink)
  }
}
