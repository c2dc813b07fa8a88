// SPDX-License-Identifier: Apache-2.0
import CRMAP

// Replies, pushes, and sessions that begin anew.
extension ClientSession {
  /// Takes in one frame.
  ///
  /// - Parameters:
  ///   - frame: what is behind the Ethernet header; may be anything at all.
  ///   - peer: the sender's address.
  ///   - now_ns: now.
  ///   - completions: told of every request that this frame completes.
  public mutating func receive(
    frame: UnsafeRawBufferPointer, from peer: MACAddress, now_ns: UInt64,
    completions: inout some CompletionSink & ~Copyable
  ) {
    guard peer == server || server == .broadcast else {
      counters.badFrames += 1
      return
    }
    var reader = MessageReader(frame)
    while true {
      switch reader.next() {
      case .message(let message):
        handle(message, from: peer, now_ns: now_ns, completions: &completions)
      case .fault(.checksum, _):
        counters.badChecksums += 1
        return
      case .fault:
        counters.badFrames += 1
        return
      case .end:
        return
      }
    }
  }

  private mutating func handle(
    _ message: Message, from peer: MACAddress, now_ns: UInt64,
    completions: inout some CompletionSink & ~Copyable
  ) {
    let header = message.header
    if header.opcode == Opcode.push.rawValue {
      push(message, completions: &completions)
      return
    }
    guard header.isReply, let status = header.statusCode else {
      counters.badFrames += 1
      return
    }
    if header.opcode == Opcode.attach.reply {
      attached(message, status, from: peer, now_ns: now_ns, completions: &completions)
      return
    }
    guard state == .live, header.sessionID == sessionID else {
      counters.lateReplies += 1
      return
    }
    if header.opcode == Opcode.error.reply {
      if status == .badSession { attachAgain(now_ns: now_ns) }
      return
    }
    credits = max(1, Int(header.creditCount))
    guard header.tagIndex != Wire.noTag else { return }
    let tag = header.tagIndex
    guard Int(tag) < capacity else {
      counters.badFrames += 1
      return
    }
    let at = table + Int(tag)
    guard at.pointee.phase == .sent, at.pointee.generation == header.generationNumber,
      at.pointee.operation.rawValue == header.request, at.pointee.slot == header.slotIndex
    else {
      counters.lateReplies += 1
      return
    }
    if status == .ok, at.pointee.operation == .read {
      guard take(message, tag, completions: &completions) else { return }
      if header.ahead != 0 {
        completions.announced(first: UInt64(header.slotCount), count: Int(header.ahead))
      }
    } else if status == .ok, at.pointee.operation == .begin {
      guard message.payload.count == Int(RMAP_BEGUN_BYTES) else {
        counters.badFrames += 1
        return
      }
      begun = UInt64(littleEndian: message.payload.loadUnaligned(as: rmap_begun.self).pages)
    } else if status == .ok, at.pointee.operation == .window {
      guard let granted = MemoryWindow(message.payload) else {
        counters.badFrames += 1
        return
      }
      window = granted
    }
    let sent_ns = memx_rtt_sent_ns(
      UInt32(header.attempt), UInt32(at.pointee.attempt), at.pointee.firstSent_ns,
      at.pointee.sent_ns)
    if sent_ns > 0 { memx_rtt_sample(&rtt, sent_ns, now_ns) }
    if status != .ok {
      finish(tag, .refused(status), &completions)
    } else if at.pointee.missing == 0 {
      finish(tag, .done, &completions)
    }
  }

  /// Takes what a reply to READ carries, if it is still missing.
  private mutating func take(
    _ message: Message, _ tag: UInt16, completions: inout some CompletionSink & ~Copyable
  ) -> Bool {
    let at = table + Int(tag)
    guard let piece = PagePiece(message) else {
      counters.badFrames += 1
      return false
    }
    guard at.pointee.missing & message.header.fragments != 0 else {
      counters.lateReplies += 1
      return false
    }
    if at.pointee.buffer == nil, piece.isWhole {
      at.pointee.missing = 0
      completions.arrived(slot: at.pointee.slot, page: piece.page, isPush: false)
      return true
    }
    let buffer = at.pointee.buffer ?? assembly! + Int(tag) * Wire.pageBytes
    piece.copy(to: buffer)
    at.pointee.missing &= ~message.header.fragments
    if at.pointee.buffer == nil, at.pointee.missing == 0 {
      completions.arrived(slot: at.pointee.slot, page: buffer, isPush: false)
    }
    return true
  }

  /// Takes in a PUSH, and completes the reads that wait for its page.
  private mutating func push(
    _ message: Message, completions: inout some CompletionSink & ~Copyable
  ) {
    let header = message.header
    guard state == .live, header.sessionID == sessionID else {
      counters.lateReplies += 1
      return
    }
    switch pushes.take(message, slots: grant!.slots) {
    case .bad: counters.badFrames += 1
    case .nothing: break
    case .end: completions.pushesEnded()
    case .page(let page):
      counters.pushes += 1
      let slot = header.slotIndex
      completions.arrived(slot: slot, page: page, isPush: true)
      if reads > 0 { completeReads(of: slot, page, &completions) }
      if header.ahead != 0 {
        completions.announced(first: UInt64(header.slotCount), count: Int(header.ahead))
      }
    }
  }

  private mutating func completeReads(
    of slot: UInt64, _ page: UnsafeRawPointer?, _ completions: inout some CompletionSink & ~Copyable
  ) {
    for tag in 0..<UInt16(capacity) {
      let at = table + Int(tag)
      guard at.pointee.phase != .free, at.pointee.operation == .read, at.pointee.slot == slot
      else { continue }
      if let buffer = at.pointee.buffer { PagePiece(page: page).copy(to: buffer) }
      if at.pointee.phase == .queued { dequeue(tag) }
      finish(tag, .done, &completions)
    }
  }

  /// Says how many of the pushed pages were of no use, in all; goes out with the next acknowledgement.
  public mutating func noteUnusedPushes(_ count: UInt32) { pushes.unused = count }

  private mutating func attached(
    _ message: Message, _ status: Status, from peer: MACAddress, now_ns: UInt64,
    completions: inout some CompletionSink & ~Copyable
  ) {
    guard state == .attaching, message.header.generationNumber == attachGeneration else {
      counters.lateReplies += 1
      return
    }
    guard status == .ok else {
      // A server that has come back may refuse for a moment; only the first attach takes no for an answer.
      if grant == nil { state = .refused(status) }
      return
    }
    guard let reply = AttachReply(payload: message.payload), reply.attachID == attachID,
      message.header.sessionID != 0, Int(reply.queueDepth) <= configuration.queueDepth
    else {
      counters.badFrames += 1
      return
    }
    server = peer
    sessionID = message.header.sessionID
    grant = reply
    incarnation = reply.incarnation
    mtu = min(Int(reply.mtu), configuration.mtu)
    if mtu < Wire.wholePageMTU, assembly == nil {
      assembly = .allocate(byteCount: capacity * Wire.pageBytes, alignment: Wire.pageBytes)
      pushes.makeAssembly()
    }
    pushes.restart()
    begun = nil
    credits = max(1, min(Int(message.header.creditCount), Int(reply.queueDepth)))
    rtt = memx_rtt()
    state = .live
    counters.attaches += 1
    requeueAll(&completions)
  }

  /// Puts everything outstanding back in the queue, under the new session's cookies. What told the server of
  /// a post-copy is refused instead: it knew that in the old session, and has to be told all of it again.
  private mutating func requeueAll(_ completions: inout some CompletionSink & ~Copyable) {
    (oldest, newest, inFlight) = (Self.end, Self.end, 0)
    (queueHead, queueCount) = (0, 0)
    for tag in 0..<capacity {
      let at = table + tag
      at.pointee.generation = 0
      guard at.pointee.phase != .free else { continue }
      at.pointee.phase = .queued
      at.pointee.generation = 1
      at.pointee.attempt = 0
      at.pointee.missing = at.pointee.operation == .read ? Wire.allFragments : 0
      switch at.pointee.operation {
      case .hint, .have, .begin, .end, .window:
        finish(UInt16(tag), .refused(.badSession), &completions)
      case .read, .write, .discard, .flush: enqueue(UInt16(tag))
      }
    }
  }

  /// The link has a new connection to the server: the session goes on as a new one.
  public mutating func reconnected(to peer: MACAddress, now_ns: UInt64) {
    server = peer
    guard state == .live || state == .attaching else { return }
    attachAgain(now_ns: now_ns)
  }

  mutating func attachAgain(now_ns: UInt64) {
    state = .attaching
    window = nil
    attachID &+= 1
    attachAttempt = 0
    nextAttach_ns = now_ns
    sessionID = 0
  }
}
