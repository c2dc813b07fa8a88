// SPDX-License-Identifier: Apache-2.0

/// Limits of a server that hold for all its sessions.
public struct ServerLimits: Sendable {
  /// 1 to 4,096.
  public var maxSessions: Int
  /// A session that nothing was heard of for so long ends.
  public var sessionTimeout_ms: UInt32
  /// The link's MTU in bytes.
  public var mtu: Int
  /// The most requests a session may have outstanding.
  public var queueDepth: Int
  /// Frames that the link's receive ring holds; credits keep all sessions' requests below it.
  public var ringFrames: Int

  public init(
    maxSessions: Int = 64, sessionTimeout_ms: UInt32 = 30_000, mtu: Int,
    queueDepth: Int = Wire.maxQueueDepth, ringFrames: Int = 4096
  ) {
    precondition((1...4096).contains(maxSessions))
    precondition((Wire.minMTU...Wire.maxMTU).contains(mtu))
    precondition((1...Wire.maxQueueDepth).contains(queueDepth))
    self.maxSessions = maxSessions
    self.sessionTimeout_ms = sessionTimeout_ms
    self.mtu = mtu
    self.queueDepth = queueDepth
    self.ringFrames = ringFrames
  }
}

/// One open session, as `ServerCore.sessions` reports it.
public struct SessionReport: Sendable, Equatable {
  public var id: UInt32
  public var peer: MACAddress
  /// The store's index of its region.
  public var region: Int
  public var mtu: Int
  public var queueDepth: Int
  public var credits: Int
  /// How long nothing has been heard of it.
  public var idle_ms: UInt64
}

/// The server's side of every session on one link: bytes and time in, messages out.
///
/// Does no I/O, reads no clock, and allocates nothing after `init` but when a post-copy begins. PROTOCOL.md gives
/// the rules; the section numbers below are its.
public struct ServerCore<Store: RegionStore & ~Copyable>: ~Copyable {
  /// Of one tag: the last request that it was used for.
  @usableFromInline
  struct TagState {
    @usableFromInline var generation: UInt32 = 0
    @usableFromInline var opcode: UInt8 = 0
    /// Carried out; `status` is what to answer.
    @usableFromInline var done = false
    @usableFromInline var status: Status = .ok
    /// Fragments that have not come yet, 0 when no WRITE is being gathered.
    @usableFromInline var missing: UInt8 = 0
    @usableFromInline var slot: UInt64 = 0
    @usableFromInline var staged: StagedPage?
    @usableFromInline var hashes = PageHashes()
    @usableFromInline init() {}
  }

  @usableFromInline
  struct Session {
    /// 0: this entry is free. Bits 0–11 are the entry's index, so that a lookup is one compare.
    @usableFromInline var id: UInt32 = 0
    @usableFromInline var peer = MACAddress(value: 0)
    @usableFromInline var region = 0
    @usableFromInline var slots: UInt64 = 0
    @usableFromInline var mtu = 0
    @usableFromInline var queueDepth = 0
    @usableFromInline var credits: UInt16 = 0
    @usableFromInline var lastHeard_ns: UInt64 = 0
    @usableFromInline var attachID: UInt64 = 0
    @usableFromInline var reply = AttachReply(
      slots: 0, attachID: 0, incarnation: 0, mtu: 0, queueDepth: 0, lost: false,
      sessionTimeout_ms: 0)
    @usableFromInline init() {}
  }

  public var store: Store
  public internal(set) var counters = ServerCounters()
  public let limits: ServerLimits

  /// Sessions that have ended. A link that let a peer reach memory looks whether the peer still has one when this
  /// has changed.
  public private(set) var endedSessions: UInt64 = 0

  @usableFromInline let table: UnsafeMutablePointer<Session>
  @usableFromInline let tags: UnsafeMutablePointer<TagState>
  @usableFromInline var active = 0
  /// Of each session that is in post-copy, what it pushes.
  let pushes: UnsafeMutablePointer<UnsafeMutablePointer<PushSender>?>
  /// How many are.
  var pushing = 0
  /// When each of these has to be looked at; at once after a message has changed what it may do.
  var pushDue: DueHeap
  /// Those that could push, in the order of their turns.
  var ready: TurnQueue
  /// What the link carries of all pushes together, and how many of them are on their way: many sessions, each with a
  /// page or two in flight, would be a queue of their own.
  var linkPace = PushPace()
  var linkInFlight = 0
  /// Who asked for a page last, and when; and when last somebody did just after somebody else.
  var linkAsker: UInt64 = 0
  var linkAsked_ns: UInt64 = 0
  var linkCrowded_ns: UInt64 = 0
  /// Figures of the post-copy that ended last.
  var ended: TransferReport?
  private var random: UInt64
  /// Halvings of every session's credits while the receive ring has been overflowing.
  private var pressure = 0
  private var pressureEased_ns: UInt64 = 0
  private var errorWindow_ns: UInt64 = 0
  private var errorsInWindow = 0

  /// - Parameters:
  ///   - store: the regions.
  ///   - limits: of all sessions together.
  ///   - seed: of the session numbers; take it from the system's generator, so that a number
  ///     cannot be guessed from another.
  public init(store: consuming Store, limits: ServerLimits, seed: UInt64) {
    self.store = store
    self.limits = limits
    random = seed
    table = .allocate(capacity: limits.maxSessions)
    table.initialize(repeating: Session(), count: limits.maxSessions)
    let tagCount = limits.maxSessions * limits.queueDepth
    tags = .allocate(capacity: tagCount)
    tags.initialize(repeating: TagState(), count: tagCount)
    pushes = .allocate(capacity: limits.maxSessions)
    pushes.initialize(repeating: nil, count: limits.maxSessions)
    pushDue = DueHeap(capacity: limits.maxSessions)
    ready = TurnQueue(capacity: limits.maxSessions)
  }

  deinit {
    for index in 0..<limits.maxSessions {
      pushes[index]?.deinitialize(count: 1)
      pushes[index]?.deallocate()
    }
    pushes.deallocate()
    table.deallocate()
    tags.deallocate()
  }

  // MARK: Receiving

  /// Takes in one frame.
  ///
  /// - Parameters:
  ///   - frame: what is behind the Ethernet header; may be anything at all.
  ///   - peer: the sender's address.
  ///   - toGroup: it was sent to a group address, so only an ATTACH that is granted is answered.
  ///   - now_ns: of any monotonic clock.
  ///   - sink: where replies go; pages in them lie in the store until the sink is flushed.
  public mutating func receive(
    frame: UnsafeRawBufferPointer, from peer: MACAddress, toGroup: Bool, now_ns: UInt64,
    sink: inout some FrameSink & ~Copyable
  ) {
    guard !peer.isGroup else {
      counters.badMessages += 1
      return
    }
    var reader = MessageReader(frame)
    while true {
      switch reader.next() {
      case .message(let message):
        handle(message, from: peer, toGroup: toGroup, now_ns: now_ns, sink: &sink)
      case .fault(let fault, let header):
        switch fault {
        case .truncated: counters.truncatedFrames += 1
        case .checksum: counters.badChecksums += 1
        case .version:
          counters.badVersions += 1
          if !toGroup, !header.isReply {
            sendError(.badVersion, answering: header, to: peer, now_ns: now_ns, sink: &sink)
          }
        }
        return
      case .end:
        return
      }
    }
  }

  private mutating func handle(
    _ message: Message, from peer: MACAddress, toGroup: Bool, now_ns: UInt64,
    sink: inout some FrameSink & ~Copyable
  ) {
    let header = message.header
    if header.opcode == Opcode.attach.rawValue {
      attach(message, from: peer, toGroup: toGroup, now_ns: now_ns, sink: &sink)
      return
    }
    guard !toGroup, !header.isReply else {
      counters.badMessages += 1
      return
    }
    let index = Int(header.sessionID & 0xFFF)
    guard header.sessionID != 0, index < limits.maxSessions, table[index].id == header.sessionID,
      table[index].peer == peer
    else {
      counters.badSessions += 1
      sendError(.badSession, answering: header, to: peer, now_ns: now_ns, sink: &sink)
      return
    }
    table[index].lastHeard_ns = now_ns
    switch Opcode(rawValue: header.opcode) {
    case .read: read(message, session: index, sink: &sink)
    case .write: write(message, session: index, sink: &sink)
    case .discard: discard(message, session: index, sink: &sink)
    case .flush: flush(message, session: index, sink: &sink)
    case .hint: hint(message, session: index, sink: &sink)
    case .have: have(message, session: index, sink: &sink)
    case .begin: begin(message, session: index, sink: &sink)
    case .pushed: pushed(message, session: index, now_ns: now_ns)
    case .end: end(message, session: index, sink: &sink)
    case .window: window(message, session: index, sink: &sink)
    case .keepAlive:
      counters.keepAlives += 1
      reply(.ok, to: header, session: index, sink: &sink)
    case .status:
      var raw = store.status(table[index].region).raw
      withUnsafeBytes(of: &raw) { bytes in
        let answer = replyHeader(.ok, to: header, session: index, length: bytes.count)
          .sealed(payloadHash: payloadHash(bytes))
        sink.appendPadded(answer, copying: bytes, to: peer, mtu: Wire.minMTU)
      }
    case .detach:
      counters.detaches += 1
      reply(.ok, to: header, session: index, sink: &sink)
      store.note(.detached(session: header.sessionID, peer: peer))
      close(index)
    default:
      counters.badOpcodes += 1
      sendError(.badOpcode, answering: header, to: peer, now_ns: now_ns, sink: &sink)
    }
  }

  // MARK: Requests (section 3)

  /// What the cookie of a message says about it.
  @usableFromInline
  enum Cookie {
    case new
    case again
    case stale
    case invalid
  }

  /// Compares a message's cookie with its tag's, and readies the tag for a new request.
  mutating func admit(_ header: Header, session index: Int) -> (Cookie, Int) {
    let tag = Int(header.tagIndex)
    guard tag < table[index].queueDepth else { return (.invalid, 0) }
    let at = index * limits.queueDepth + tag
    let distance = Int32(bitPattern: header.generationNumber &- tags[at].generation)
    // No request has opcode 0: a tag not used yet has seen nothing that could come again.
    if distance < 0 || distance == 0 && tags[at].opcode == 0 {
      counters.staleRequests += 1
      return (.stale, at)
    }
    if distance == 0 {
      counters.repeatedRequests += 1
      let same = tags[at].opcode == header.opcode && tags[at].slot == header.slotIndex
      return (same ? .again : .invalid, at)
    }
    if let staged = tags[at].staged { store.abandon(table[index].region, page: staged) }
    tags[at].generation = header.generationNumber
    tags[at].opcode = header.opcode
    tags[at].slot = header.slotIndex
    tags[at].done = false
    tags[at].missing = 0
    tags[at].staged = nil
    return (.new, at)
  }

  private mutating func read(
    _ message: Message, session index: Int, sink: inout some FrameSink & ~Copyable
  ) {
    let header = message.header
    let wanted = header.fragments
    guard wanted != 0, wanted & ~Wire.allFragments == 0, header.payloadLength == 0 else {
      return refuse(.badMessage, header, session: index, sink: &sink)
    }
    switch admit(header, session: index).0 {
    case .stale: return
    case .invalid: return refuse(.badMessage, header, session: index, sink: &sink)
    case .new, .again: break
    }
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

  private mutating func write(
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
    let (cookie, at) = admit(header, session: index)
    switch cookie {
    case .stale: return
    case .invalid: return refuse(.badMessage, header, session: index, sink: &sink)
    case .again where tags[at].done:
      return reply(tags[at].status, to: header, session: index, sink: &sink)
    case .new, .again: break
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

  private mutating func discard(
    _ message: Message, session index: Int, sink: inout some FrameSink & ~Copyable
  ) {
    let header = message.header
    guard (1...Wire.maxDiscardSlots).contains(header.slotCount), header.payloadLength == 0 else {
      return refuse(.badMessage, header, session: index, sink: &sink)
    }
    let (cookie, at) = admit(header, session: index)
    switch cookie {
    case .stale: return
    case .invalid: return refuse(.badMessage, header, session: index, sink: &sink)
    case .again: return reply(tags[at].status, to: header, session: index, sink: &sink)
    case .new: break
    }
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
  private mutating func flush(
    _ message: Message, session index: Int, sink: inout some FrameSink & ~Copyable
  ) {
    let header = message.header
    guard header.payloadLength == 0 else {
      return refuse(.badMessage, header, session: index, sink: &sink)
    }
    let (cookie, at) = admit(header, session: index)
    switch cookie {
    case .stale: return
    case .invalid: return refuse(.badMessage, header, session: index, sink: &sink)
    case .new, .again: break
    }
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

  // MARK: Replies

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
  private mutating func mayComplain(now_ns: UInt64) -> Bool {
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

  private mutating func sendError(
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

  // MARK: Sessions (sections 2, 4 and 6)

  private mutating func attach(
    _ message: Message, from peer: MACAddress, toGroup: Bool, now_ns: UInt64,
    sink: inout some FrameSink & ~Copyable
  ) {
    guard let request = AttachRequest(payload: message.payload) else {
      counters.badMessages += 1
      refuseAttach(.badMessage, nil, message.header, peer, toGroup, now_ns: now_ns, sink: &sink)
      return
    }
    switch open(request, from: peer, now_ns: now_ns) {
    case .failure(let refusal):
      refuseAttach(
        refusal.status, request.region, message.header, peer, toGroup, now_ns: now_ns, sink: &sink)
    case .success(nil):
      counters.staleRequests += 1
    case .success(let index?):
      var raw = table[index].reply.raw
      withUnsafeBytes(of: &raw) { bytes in
        var answer = replyHeader(.ok, to: message.header, session: index, length: bytes.count)
        answer.session = table[index].id.littleEndian
        sink.appendPadded(
          answer.sealed(payloadHash: payloadHash(bytes)), copying: bytes, to: peer,
          mtu: table[index].mtu)
      }
    }
  }

  private mutating func refuseAttach(
    _ status: Status, _ region: RegionName?, _ header: Header, _ peer: MACAddress,
    _ toGroup: Bool, now_ns: UInt64, sink: inout some FrameSink & ~Copyable
  ) {
    // A broadcast asks every server there is; those that cannot serve it keep quiet.
    guard !toGroup else { return }
    counters.attachesRefused += 1
    guard mayComplain(now_ns: now_ns) else { return }
    store.note(.refused(region: region, peer: peer, status: status))
    let answer = Header(
      opcode: Opcode.attach.reply, status: status, attempt: header.attempt, session: 0,
      generation: header.generationNumber)
    sink.append(answer.sealed(), to: peer, mtu: Wire.minMTU)
  }

  /// Opens a session, or finds the one that this request has opened already.
  ///
  /// - Returns: the session's entry, or nil when the request is a late duplicate.
  private mutating func open(
    _ request: AttachRequest, from peer: MACAddress, now_ns: UInt64
  ) -> Result<Int?, Refusal> {
    let grant: RegionGrant
    switch store.find(request, from: peer) {
    case .failure(let refusal): return .failure(refusal)
    case .success(let found): grant = found
    }
    guard request.slots <= grant.slots else { return .failure(Refusal(.tooLarge)) }
    if let index = session(of: grant.region) {
      guard store.isSameClient(table[index].peer, peer) else { return .failure(Refusal(.busy)) }
      if table[index].peer == peer, request.attachID == table[index].attachID {
        // The client may have asked again for less, because the path could not carry more.
        let mtu = min(table[index].mtu, Int(request.mtu))
        table[index].mtu = mtu
        table[index].reply.mtu = UInt16(mtu)
        table[index].lastHeard_ns = now_ns
        return .success(index)
      }
      guard request.attachID > table[index].attachID else { return .success(nil) }
      store.note(.replaced(session: table[index].id, peer: peer))
      close(index)
    }
    guard let index = (0..<limits.maxSessions).first(where: { table[$0].id == 0 }) else {
      return .failure(Refusal(.tooMany))
    }
    guard store.claim(grant.region) else { return .failure(Refusal(.busy)) }
    let lost: Bool
    switch store.settle(grant.region, incarnation: request.incarnation) {
    case .success(let answer): lost = answer
    case .failure(let refusal):
      store.release(grant.region)
      return .failure(refusal)
    }

    var session = Session()
    session.id = nextSessionID(index: index)
    session.peer = peer
    session.region = grant.region
    session.slots = request.slots == 0 ? grant.slots : request.slots
    session.mtu = min(Int(request.mtu), limits.mtu)
    session.queueDepth = min(Int(request.queueDepth), limits.queueDepth)
    session.lastHeard_ns = now_ns
    session.attachID = request.attachID
    session.reply = AttachReply(
      slots: session.slots, attachID: request.attachID, incarnation: grant.incarnation,
      mtu: UInt16(session.mtu), queueDepth: UInt16(session.queueDepth), lost: lost,
      sessionTimeout_ms: limits.sessionTimeout_ms)
    table[index] = session
    (tags + index * limits.queueDepth).update(repeating: TagState(), count: limits.queueDepth)
    active += 1
    counters.attaches += 1
    shareCredits()
    store.note(
      .attached(
        region: request.region, peer: peer, session: session.id, mtu: session.mtu,
        queueDepth: session.queueDepth))
    return .success(index)
  }

  private func session(of region: Int) -> Int? {
    (0..<limits.maxSessions).first { table[$0].id != 0 && table[$0].region == region }
  }

  private mutating func close(_ index: Int) {
    let first = index * limits.queueDepth
    for at in first..<first + table[index].queueDepth {
      if let staged = tags[at].staged {
        store.abandon(table[index].region, page: staged)
        tags[at].staged = nil
      }
    }
    endTransfer(session: index)
    endedSessions += 1
    store.release(table[index].region)
    table[index] = Session()
    active -= 1
    shareCredits()
  }

  /// Ends the session on a region, if there is one, as when the region goes.
  public mutating func close(region: Int) {
    if let index = session(of: region) { close(index) }
  }

  /// A session number that tells nothing about the next (SplitMix64), with the entry in its low bits.
  private mutating func nextSessionID(index: Int) -> UInt32 {
    random &+= 0x9E37_79B9_7F4A_7C15
    var z = random
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    z ^= z >> 31
    let id = UInt32(truncatingIfNeeded: z) & ~0xFFF | UInt32(index)
    return id == 0 || id == UInt32(index) ? id | 0x8000_0000 : id
  }

  /// Divides the receive ring among the sessions.
  private mutating func shareCredits() {
    guard active > 0 else { return }
    for index in 0..<limits.maxSessions where table[index].id != 0 {
      let frames = table[index].mtu >= Wire.wholePageMTU ? 1 : Wire.fragments
      let share = (limits.ringFrames / (active * frames)) >> pressure
      table[index].credits = UInt16(max(1, min(share, table[index].queueDepth)))
    }
  }

  // MARK: Time

  /// What has to happen now and then; call it every few milliseconds to 100 ms.
  ///
  /// - Parameter ringOverflowed: the receive ring has dropped frames since the last call.
  public mutating func tick(now_ns: UInt64, ringOverflowed: Bool) {
    if ringOverflowed, pressure < 8 {
      pressure += 1
      pressureEased_ns = now_ns
      shareCredits()
    } else if pressure > 0, now_ns &- pressureEased_ns > 100_000_000 {
      pressure -= 1
      pressureEased_ns = now_ns
      shareCredits()
    }
    let timeout_ns = UInt64(limits.sessionTimeout_ms) * 1_000_000
    for index in 0..<limits.maxSessions where table[index].id != 0 {
      guard now_ns &- table[index].lastHeard_ns > timeout_ns else { continue }
      counters.sessionsExpired += 1
      store.note(.expired(session: table[index].id, peer: table[index].peer))
      close(index)
    }
  }

  /// Ends the sessions of a peer that is gone, as a link knows whose connections end.
  ///
  /// - Parameter reason: why its connection has ended, for the log.
  public mutating func disconnected(_ peer: MACAddress, reason: @autoclosure () -> String) {
    for index in 0..<limits.maxSessions where table[index].id != 0 && table[index].peer == peer {
      store.note(.disconnected(session: table[index].id, peer: peer, reason: reason()))
      counters.sessionsDisconnected += 1
      close(index)
    }
  }

  /// Ends every session, as at shutdown.
  public mutating func closeAll() {
    for index in 0..<limits.maxSessions where table[index].id != 0 { close(index) }
  }

  /// The open sessions.
  public func sessions(now_ns: UInt64) -> [SessionReport] {
    (0..<limits.maxSessions).compactMap { index in
      let session = table[index]
      guard session.id != 0 else { return nil }
      return SessionReport(
        id: session.id, peer: session.peer, region: session.region, mtu: session.mtu,
        queueDepth: session.queueDepth, credits: Int(session.credits),
        idle_ms: (now_ns &- session.lastHeard_ns) / 1_000_000)
    }
  }

  /// Has the peer a session?
  public func hasSession(_ peer: MACAddress) -> Bool {
    (0..<limits.maxSessions).contains { table[$0].id != 0 && table[$0].peer == peer }
  }

  /// Open sessions now.
  public var sessionCount: Int { active }
}
