// SPDX-License-Identifier: Apache-2.0
import CRMAP

// What is sent, and when it is sent again.
extension ClientSession {
  /// How often timeouts are looked at: a request may be sent again, or fail, so much too late.
  private static var scanPeriod_ns: UInt64 { UInt64(MEMX_RTO_MIN_NS) / 8 }

  /// Sends what is due: new requests, what counts as lost, attach, keep-alive; fails what has waited
  /// too long.
  ///
  /// - Returns: when to call again at the latest.
  public mutating func poll(
    now_ns: UInt64, sink: inout some FrameSink & ~Copyable,
    completions: inout some CompletionSink & ~Copyable
  ) -> UInt64 {
    switch state {
    case .refused, .detached:
      return .max
    case .attaching:
      if now_ns >= nextScan_ns { scan(now_ns: now_ns, sink: &sink, completions: &completions) }
      if now_ns >= nextAttach_ns { sendAttach(now_ns: now_ns, sink: &sink) }
      return min(nextAttach_ns, nextScan_ns)
    case .live:
      break
    }
    while !configuration.isReliable, oldest != Self.end,
      memx_rtt_overtaken(&rtt, table[Int(oldest)].sent_ns) != 0
    {
      counters.overtaken += 1
      resend(oldest, now_ns: now_ns, sink: &sink)
    }
    if now_ns >= nextScan_ns {
      scan(now_ns: now_ns, sink: &sink, completions: &completions)
      guard state == .live else { return now_ns }
    }
    while queueCount > 0, inFlight < credits {
      guard let tag = nextQueued() else { break }
      table[Int(tag)].phase = .sent
      inFlight += 1
      send(tag, now_ns: now_ns, sink: &sink)
    }
    if let acknowledgement = pushes.acknowledgement(session: sessionID) {
      lastSent_ns = now_ns
      sink.append(acknowledgement.sealed(), to: server, mtu: mtu)
    }
    let keepAlive_ns = lastSent_ns + UInt64(grant!.sessionTimeout_ms) * 1_000_000 / 3
    if now_ns >= keepAlive_ns {
      counters.keepAlives += 1
      lastSent_ns = now_ns
      let header = Header(opcode: Opcode.keepAlive.rawValue, session: sessionID)
      sink.append(header.sealed(), to: server, mtu: mtu)
    }
    return outstanding > 0 ? nextScan_ns : keepAlive_ns
  }

  /// Looks at every outstanding request: is its timeout over, has it waited too long?
  private mutating func scan(
    now_ns: UInt64, sink: inout some FrameSink & ~Copyable,
    completions: inout some CompletionSink & ~Copyable
  ) {
    nextScan_ns = now_ns + Self.scanPeriod_ns
    var gaveUp = false
    for tag in 0..<UInt16(capacity) where table[Int(tag)].phase != .free {
      let at = table[Int(tag)]
      if now_ns &- at.submitted_ns > configuration.giveUp_ns {
        if at.phase == .queued { dequeue(tag) } else { gaveUp = true }
        finish(tag, .timedOut, &completions)
      } else if state == .live, at.phase == .sent, !configuration.isReliable,
        now_ns &- at.sent_ns >= memx_rto_ns(&rtt, UInt32(at.attempt))
      {
        counters.timeouts += 1
        resend(tag, now_ns: now_ns, sink: &sink)
      }
    }
    // A late copy of what was given up must not hurt what comes after (section 5); of what was not
    // sent in this session there is none.
    if gaveUp, state == .live { attachAgain(now_ns: now_ns) }
  }

  /// Takes the next queued request out of the queue, under a tag that the server has granted; nil
  /// when each such tag is in use by a request that has been sent.
  private mutating func nextQueued() -> UInt16? {
    let granted = grant!.queueDepth
    for _ in 0..<queueCount {
      let tag = queue[queueHead]
      queueHead = (queueHead + 1) % capacity
      queueCount -= 1
      if tag < granted { return tag }
      if let index = (0..<freeCount).first(where: { freeTags[$0] < granted }) {
        let other = freeTags[index]
        freeTags[index] = tag
        let generation = table[Int(other)].generation
        table[Int(other)] = table[Int(tag)]
        table[Int(other)].generation = generation &+ 1
        table[Int(tag)].phase = .free
        return other
      }
      enqueue(tag)
    }
    return nil
  }

  mutating func dequeue(_ tag: UInt16) {
    var kept = 0
    for index in 0..<queueCount {
      let other = queue[(queueHead + index) % capacity]
      guard other != tag else { continue }
      queue[(queueHead + kept) % capacity] = other
      kept += 1
    }
    queueCount = kept
  }

  private mutating func resend(
    _ tag: UInt16, now_ns: UInt64, sink: inout some FrameSink & ~Copyable
  ) {
    unlink(tag)
    let at = table + Int(tag)
    if at.pointee.attempt == 0 { at.pointee.firstSent_ns = at.pointee.sent_ns }
    if at.pointee.attempt < .max { at.pointee.attempt += 1 }
    send(tag, now_ns: now_ns, sink: &sink)
  }

  private mutating func send(
    _ tag: UInt16, now_ns: UInt64, sink: inout some FrameSink & ~Copyable
  ) {
    let at = table + Int(tag)
    at.pointee.sent_ns = now_ns
    lastSent_ns = now_ns
    link(tag)
    var header = Header(
      opcode: at.pointee.operation.rawValue, attempt: at.pointee.attempt, session: sessionID,
      tag: tag, generation: at.pointee.generation, slot: at.pointee.slot,
      fragments: at.pointee.missing, count: at.pointee.count)
    if at.pointee.length > 0 {
      let bytes = UnsafeRawBufferPointer(
        start: at.pointee.buffer, count: Int(at.pointee.length))
      header.length = at.pointee.length.littleEndian
      sink.append(
        header.sealed(payloadHash: payloadHash(bytes)), payload: bytes, to: server, mtu: mtu)
      return
    }
    guard at.pointee.operation == .write else {
      sink.append(header.sealed(), to: server, mtu: mtu)
      return
    }
    let page = UnsafeRawPointer(at.pointee.buffer!)
    let pieces = mtu >= Wire.wholePageMTU ? 1 : Wire.fragments
    for piece in 0..<pieces {
      let bytes =
        pieces == 1
        ? UnsafeRawBufferPointer(start: page, count: Wire.pageBytes)
        : UnsafeRawBufferPointer(
          start: page + Wire.fragmentOffset(piece), count: Wire.fragmentLength(piece))
      header.fragments = pieces == 1 ? Wire.allFragments : 1 << UInt8(piece)
      header.length = UInt16(bytes.count).littleEndian
      sink.append(
        header.sealed(payloadHash: payloadHash(bytes)), payload: bytes, to: server, mtu: mtu)
    }
  }

  private mutating func sendAttach(now_ns: UInt64, sink: inout some FrameSink & ~Copyable) {
    // Two attempts at the link's MTU, two at what every path carries, and so on in turn.
    let asked =
      attachAttempt & 2 == 0 || configuration.isReliable
      ? configuration.mtu : min(configuration.mtu, Wire.fallbackMTU)
    let request = AttachRequest(
      region: configuration.region, token: configuration.token, slots: configuration.slots,
      attachID: attachID, incarnation: incarnation, mtu: UInt16(asked),
      queueDepth: UInt16(configuration.queueDepth))
    let payload = request.payload
    payload.withUnsafeBytes { bytes in
      let header = Header(
        opcode: Opcode.attach.rawValue, attempt: UInt8(min(attachAttempt, 255)), session: 0,
        generation: attachGeneration, length: bytes.count)
      sink.appendPadded(
        header.sealed(payloadHash: payloadHash(bytes)), copying: bytes,
        to: grant == nil && !configuration.isReliable ? configuration.server : server, mtu: asked)
    }
    let wait_ns: UInt64 = min(100_000_000 << UInt64(min(attachAttempt / 4, 4)), 1_000_000_000)
    nextAttach_ns = now_ns + wait_ns
    lastSent_ns = now_ns
    attachAttempt += 1
  }

  /// Says goodbye; the region keeps its pages. Outstanding requests are dropped without a completion.
  public mutating func detach(sink: inout some FrameSink & ~Copyable) {
    if state == .live {
      let header = Header(opcode: Opcode.detach.rawValue, session: sessionID)
      sink.append(header.sealed(), to: server, mtu: mtu)
    }
    state = .detached
  }
}
