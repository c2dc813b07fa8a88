// SPDX-License-Identifier: Apache-2.0

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
  public internal(set) var endedSessions: UInt64 = 0

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
  var random: UInt64
  /// Halvings of every session's credits while the receive ring has been overflowing.
  var pressure = 0
  private var pressureEased_ns: UInt64 = 0
  var errorWindow_ns: UInt64 = 0
  var errorsInWindow = 0

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
}
