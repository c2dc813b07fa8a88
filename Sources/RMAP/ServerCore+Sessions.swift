// SPDX-License-Identifier: Apache-2.0

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

// How sessions begin and end: PROTOCOL.md sections 2, 4 and 6.
extension ServerCore where Store: ~Copyable {
  mutating func attach(
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

  func session(of region: Int) -> Int? {
    (0..<limits.maxSessions).first { table[$0].id != 0 && table[$0].region == region }
  }

  mutating func close(_ index: Int) {
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
  mutating func shareCredits() {
    guard active > 0 else { return }
    for index in 0..<limits.maxSessions where table[index].id != 0 {
      let frames = table[index].mtu >= Wire.wholePageMTU ? 1 : Wire.fragments
      let share = (limits.ringFrames / (active * frames)) >> pressure
      table[index].credits = UInt16(max(1, min(share, table[index].queueDepth)))
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
