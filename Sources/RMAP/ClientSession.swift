// SPDX-License-Identifier: Apache-2.0
import CRMAP

/// What a client wants of its session.
public struct ClientConfiguration: Sendable {
  public var region: RegionName
  public var token: Token
  /// Slots wanted, 0 for all that the region has.
  public var slots: UInt64
  /// The link's MTU in bytes; the session's may be lower.
  public var mtu: Int
  /// Requests wanted outstanding at once.
  public var queueDepth: Int
  /// The server's address, or broadcast to find it.
  public var server: MACAddress
  /// A request without an answer for so long fails.
  public var giveUp_ns: UInt64
  /// Of the first attach; the client's wall clock in nanoseconds serves.
  public var attachID: UInt64
  /// Whether the link loses nothing as long as it lasts, as an RDMA connection does: then nothing is sent again, and
  /// `reconnected` says when another connection has taken its place.
  public var isReliable = false

  public init(
    region: RegionName, token: Token = .none, slots: UInt64 = 0, mtu: Int, queueDepth: Int,
    server: MACAddress = .broadcast, giveUp_ns: UInt64 = 30_000_000_000, attachID: UInt64
  ) {
    precondition((Wire.minMTU...Wire.maxMTU).contains(mtu))
    precondition((1...Wire.maxQueueDepth).contains(queueDepth))
    self.region = region
    self.token = token
    self.slots = slots
    self.mtu = mtu
    self.queueDepth = queueDepth
    self.server = server
    self.giveUp_ns = giveUp_ns
    self.attachID = attachID
  }
}

/// How a client's request ended.
public enum Outcome: Sendable, Equatable {
  case done
  /// The server refused, and says why. `badSession`, to what tells it of a post-copy: the session ended
  /// meanwhile, and the new one has to be told everything again.
  case refused(Status)
  /// No answer for as long as the client waits.
  case timedOut
}

/// Takes what a client's session has finished.
public protocol CompletionSink: ~Copyable {
  /// - Parameters:
  ///   - request: the number that `submit` was given.
  ///   - outcome: for a read that is `.done`, the page is in the buffer, or `arrived` has had it.
  mutating func completed(request: UInt64, outcome: Outcome)

  /// A page has come that no buffer waits for: a push, or the answer to a read without a buffer.
  ///
  /// A push may be of a page that the client has, wrote or freed meanwhile, and then must not be used.
  ///
  /// - Parameters:
  ///   - page: 4,096 bytes, valid until this returns; nil for a page of zeros.
  ///   - isPush: the server sent it unasked.
  mutating func arrived(slot: UInt64, page: UnsafeRawPointer?, isPush: Bool)

  /// The server will push these slots in a moment.
  ///
  /// - Parameter count: from `first` on upwards, downwards when negative; not 0. May lead out of the region.
  mutating func announced(first: UInt64, count: Int)

  /// The server has nothing more to push: what has neither arrived nor been asked for was never stored.
  mutating func pushesEnded()
}

extension CompletionSink where Self: ~Copyable {
  public mutating func arrived(slot: UInt64, page: UnsafeRawPointer?, isPush: Bool) {}
  public mutating func announced(first: UInt64, count: Int) {}
  public mutating func pushesEnded() {}
}

/// The client's side of one session: requests, bytes and time in; messages and completions out.
///
/// Does no I/O, reads no clock, and allocates nothing after `init`. PROTOCOL.md gives the rules; the
/// section numbers below are its. The module in `kmod/` does the same in the kernel.
public struct ClientSession: ~Copyable {
  /// Where the session is.
  public enum State: Sendable, Equatable {
    /// Asking the server for a session, for the first time or again.
    case attaching
    case live
    /// The server refused the first attach; nothing more happens.
    case refused(Status)
    case detached
  }

  /// What a request asks for.
  public enum Operation: UInt8, Sendable {
    case read = 0x02
    case write = 0x03
    case discard = 0x04
    case flush = 0x05
    case hint = 0x09
    case have = 0x0A
    case begin = 0x0B
    case end = 0x0E
    case window = 0x0F
  }

  private enum Phase: UInt8 {
    case free
    case queued
    case sent
  }

  private struct Pending {
    var phase = Phase.free
    var operation = Operation.read
    var attempt: UInt8 = 0
    /// READ: fragments still to come.
    var missing: UInt8 = 0
    /// Of a payload other than a page.
    var length: UInt16 = 0
    /// Neighbours in the order of sending; `end` at the ends.
    var previous: UInt16 = 0
    var next: UInt16 = 0
    var generation: UInt32 = 0
    var count: UInt32 = 0
    var slot: UInt64 = 0
    var buffer: UnsafeMutableRawPointer?
    var request: UInt64 = 0
    var submitted_ns: UInt64 = 0
    /// When the latest attempt was sent.
    var sent_ns: UInt64 = 0
    /// When the first was, once there is another.
    var firstSent_ns: UInt64 = 0
  }

  public private(set) var state = State.attaching
  public private(set) var counters = ClientCounters()
  /// What the server granted; nil before the first attach has succeeded.
  public private(set) var grant: AttachReply?
  /// The server's address, once it is known.
  public private(set) var server: MACAddress
  /// Of the store that the client's data is in; 0 before the first attach.
  public private(set) var incarnation: UInt64 = 0

  private let configuration: ClientConfiguration
  private let table: UnsafeMutablePointer<Pending>
  private let freeTags: UnsafeMutablePointer<UInt16>
  private var freeCount: Int
  private let queue: UnsafeMutablePointer<UInt16>
  private var queueHead = 0
  private var queueCount = 0
  private static var end: UInt16 { UInt16.max }
  /// How often timeouts are looked at: a request may be sent again, or fail, so much too late.
  private static var scanPeriod_ns: UInt64 { UInt64(MEMX_RTO_MIN_NS) / 8 }
  private var oldest = ClientSession.end
  private var newest = ClientSession.end
  private var inFlight = 0
  private var sessionID: UInt32 = 0
  private var credits = 0
  private var rtt = memx_rtt()
  private var attachID: UInt64
  private var attachAttempt = 0
  /// What tells the reply to this attach, a refusal too, from late ones to those before it.
  private var attachGeneration: UInt32 { UInt32(truncatingIfNeeded: attachID) }
  private var nextAttach_ns: UInt64 = 0
  private var lastSent_ns: UInt64 = 0
  private var nextScan_ns: UInt64 = 0
  /// Where fragments of reads without a buffer are put together, a page a tag; made when a session is to have
  /// fragments.
  private var assembly: UnsafeMutableRawPointer?
  private var reads = 0
  private var pushes = PushReceiver()
  /// Pages that the server was to move when post-copy began; nil before.
  public private(set) var begun: UInt64?
  /// What the server lets this session reach directly; nil before it was asked, by `.window`.
  public private(set) var window: MemoryWindow?
  private var mtu: Int
  private let capacity: Int

  public init(_ configuration: ClientConfiguration) {
    self.configuration = configuration
    capacity = configuration.queueDepth
    server = configuration.server
    attachID = configuration.attachID
    mtu = configuration.mtu
    table = .allocate(capacity: capacity)
    table.initialize(repeating: Pending(), count: capacity)
    freeTags = .allocate(capacity: capacity)
    queue = .allocate(capacity: capacity)
    freeCount = capacity
    for tag in 0..<capacity { freeTags[tag] = UInt16(capacity - 1 - tag) }
  }

  deinit {
    table.deallocate()
    freeTags.deallocate()
    queue.deallocate()
    assembly?.deallocate()
  }

  /// Requests submitted and not completed.
  public var outstanding: Int { capacity - freeCount }

  /// Has `submit` room for another request?
  public var hasRoom: Bool { freeCount > 0 }

  /// The smoothed round-trip time in nanoseconds, 0 before the first answer.
  public var srtt_ns: UInt64 { rtt.srtt_ns }

  // MARK: Requests

  /// Takes a request in; `poll` sends it.
  ///
  /// - Parameters:
  ///   - operation: what to do.
  ///   - slot: the first slot.
  ///   - count: slots to discard; of a read, which thread of control waits for it, 0 when not known; of
  ///     a hint, the place of its first extent.
  ///   - buffer: 4,096 bytes that stay in place, and for a write unchanged, until completion; nil has a
  ///     page that is read given to `arrived`.
  ///   - length: bytes in the buffer of a hint, have, begin or end: these have a payload that is no page.
  ///   - request: comes back with the completion.
  ///   - now_ns: of any monotonic clock, the same for every call.
  /// - Returns: false when as many requests as the queue depth are outstanding.
  public mutating func submit(
    _ operation: Operation, slot: UInt64, count: UInt32 = 0, buffer: UnsafeMutableRawPointer?,
    length: Int = 0, request: UInt64, now_ns: UInt64
  ) -> Bool {
    guard freeCount > 0 else { return false }
    freeCount -= 1
    let tag = freeTags[freeCount]
    let at = table + Int(tag)
    at.pointee.phase = .queued
    at.pointee.operation = operation
    at.pointee.slot = slot
    at.pointee.count = count
    at.pointee.length = UInt16(length)
    at.pointee.buffer = buffer
    at.pointee.request = request
    at.pointee.submitted_ns = now_ns
    at.pointee.attempt = 0
    at.pointee.missing = operation == .read ? Wire.allFragments : 0
    at.pointee.generation &+= 1
    if operation == .read { reads += 1 }
    enqueue(tag)
    return true
  }

  private mutating func enqueue(_ tag: UInt16) {
    queue[(queueHead + queueCount) % capacity] = tag
    queueCount += 1
  }

  private mutating func finish(
    _ tag: UInt16, _ outcome: Outcome, _ completions: inout some CompletionSink & ~Copyable
  ) {
    let at = table + Int(tag)
    if at.pointee.phase == .sent {
      unlink(tag)
      inFlight -= 1
    }
    at.pointee.phase = .free
    if at.pointee.operation == .read { reads -= 1 }
    freeTags[freeCount] = tag
    freeCount += 1
    if outcome == .done { counters.completed += 1 } else { counters.failed += 1 }
    completions.completed(request: at.pointee.request, outcome: outcome)
  }

  // MARK: Receiving

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
    case .again: counters.repeatedPushes += 1
    case .part: break
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

  private mutating func attachAgain(now_ns: UInt64) {
    state = .attaching
    window = nil
    attachID &+= 1
    attachAttempt = 0
    nextAttach_ns = now_ns
    sessionID = 0
  }

  // MARK: Sending

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

  private mutating func dequeue(_ tag: UInt16) {
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

  // MARK: The list of sent requests, oldest first

  private mutating func link(_ tag: UInt16) {
    table[Int(tag)].previous = newest
    table[Int(tag)].next = Self.end
    if newest == Self.end { oldest = tag } else { table[Int(newest)].next = tag }
    newest = tag
  }

  private mutating func unlink(_ tag: UInt16) {
    let (previous, next) = (table[Int(tag)].previous, table[Int(tag)].next)
    if previous == Self.end { oldest = next } else { table[Int(previous)].next = next }
    if next == Self.end { newest = previous } else { table[Int(next)].previous = previous }
  }
}
