// SPDX-License-Identifier: Apache-2.0
import CVerbs
import RMAP

extension VerbsLink {
  /// How long what was under way when a connection ended may take to come back.
  private static var drain_ns: UInt64 { 1_000_000_000 }
  /// A connection that has acknowledged nothing for so long, with something to acknowledge, has ended.
  private static var stalled_ms: UInt64 { 5_000 }

  /// What stands for a connection where the protocol wants an address: a locally administered one, made of its entry and
  /// of a number that tells it from those before it there.
  func peer(of entry: Int) -> MACAddress {
    MACAddress(
      value: 0x02 << 40 | (connections[entry].generation & 0xFF_FFFF) << 16 | UInt64(entry))
  }

  /// The entry of a connection that has not ended.
  @inline(__always)
  func entry(of peer: MACAddress) -> Int? {
    let entry = Int(peer.value & 0xFFFF)
    guard entry < entryCount, self.peer(of: entry) == peer,
      connections[entry].phase == .open || connections[entry].phase == .accepted
    else { return nil }
    return entry
  }

  /// What stands for a client's server.
  public var server: MACAddress { peer(of: 0) }

  /// Whether a client's connection is there.
  public var isConnected: Bool { connections[0].phase == .open }

  /// Connections that have not ended.
  public var peers: [MACAddress] {
    (0..<entryCount).compactMap { entry in
      let phase = connections[entry].phase
      return phase == .open || phase == .accepted ? peer(of: entry) : nil
    }
  }

  /// Takes what has happened to connections, and frees those that have ended. To be called often: every millisecond
  /// or so where connections come and go.
  public mutating func manage() {
    while true {
      var event = memx_verbs_next_event(verbs)
      switch memx_verbs_event_kind(event.kind) {
      case MEMX_VERBS_REQUEST: answer(&event)
      case MEMX_VERBS_ESTABLISHED:
        let entry = Int(memx_verbs_owner(event.connection))
        if connections[entry].phase == .accepted { connections[entry].phase = .open }
      case MEMX_VERBS_ENDED:
        disconnect(isServer ? Int(memx_verbs_owner(event.connection)) : 0, .disconnected)
      case MEMX_VERBS_REMOVED: isGone = true
      default:
        reap()
        return
      }
    }
  }

  /// An entry for one more connection; nil when there are as many as there may be.
  private var vacancy: Int? {
    var vacancy: Int?
    var count = 0
    for entry in 0..<entryCount {
      switch connections[entry].phase {
      case .free: vacancy = vacancy ?? entry
      case .accepted, .open: count += 1
      case .ending: continue
      }
    }
    return count < options.connections ? vacancy : nil
  }

  /// Accepts a connection, or says why not.
  private mutating func answer(_ event: inout memx_verbs_event) {
    let said = withUnsafeBytes(of: &event.private_data) { (bytes) -> Result<Hello, Refusal> in
      do throws(Refusal) {
        return .success(
          try Hello(UnsafeRawBufferPointer(rebasing: bytes[..<Int(event.private_bytes)])))
      } catch { return .failure(error) }
    }
    let entry = vacancy
    let status: Status
    switch said {
    case .failure(let refusal): status = refusal.status
    case .success: status = entry == nil ? .tooMany : .ok
    }
    guard case .success(let hello) = said, let entry else {
      refusals.connections += 1
      var answer = Hello(frameBytes: Self.frameBytes, receives: options.receives, status: status)
        .raw
      memx_verbs_refuse(event.connection, &answer, UInt8(MemoryLayout.size(ofValue: answer)))
      return
    }
    var answer = Hello(frameBytes: Self.frameBytes, receives: options.receives).raw
    let limit = min(hello.receives, options.sends)
    memx_verbs_set_owner(event.connection, UInt32(entry))
    guard
      memx_verbs_accept(
        verbs, event.connection, UInt32(limit + 4), &answer,
        UInt8(MemoryLayout.size(ofValue: answer))) == 0
    else {
      refusals.connections += 1
      return
    }
    let generation = connections[entry].generation + 1
    connections[entry] = Connection(
      phase: .accepted, generation: generation, handle: event.connection, sendLimit: limit,
      progress_ns: now_ns)
    numbers.insert(memx_verbs_number(event.connection), entry)
    let handle = event.connection
    directory[peer(of: entry)] = Self.text { memx_verbs_peer_address(handle, $0) }
  }

  /// Ends a peer's connection, if it has not ended.
  public mutating func disconnect(_ peer: MACAddress) {
    if let entry = entry(of: peer) { disconnect(entry, .closed) }
  }

  mutating func disconnect(_ entry: Int, _ reason: EndedConnection.Reason) {
    guard connections[entry].phase == .open || connections[entry].phase == .accepted else {
      return
    }
    connections[entry].phase = .ending
    connections[entry].progress_ns = now_ns
    if memx_verbs_port_up(verbs) == 0 {
      memx_verbs_stop(connections[entry].handle)
    } else {
      memx_verbs_disconnect(connections[entry].handle)
    }
    closeWindow(entry)
    ended[endedCount] = EndedConnection(peer: peer(of: entry), reason: reason)
    endedCount += 1
  }

  /// A connection that has ended, each once; its session must end before the next call of `manage`.
  public mutating func takeEnded() -> EndedConnection? {
    guard endedCount > 0 else { return nil }
    endedCount -= 1
    return ended[endedCount]
  }

  /// Frees connections that have ended, once what was under way has come back; ends those that are stuck.
  private mutating func reap() {
    takeSends()
    for entry in 0..<entryCount {
      let connection = connections[entry]
      switch connection.phase {
      case .free: continue
      case .accepted, .open:
        if connection.underWay > 0,
          now_ns &- connection.progress_ns > Self.stalled_ms * 1_000_000
        {
          disconnect(entry, .stalled(ms: Self.stalled_ms))
        }
      case .ending:
        let isDrained =
          connection.underWay == 0 || now_ns &- connection.progress_ns > Self.drain_ns
        // Frames of it may be among the receives that have not been looked at. The other end is told, at the
        // latest, when it is freed; so not while that cannot be (`memx_verbs_stop`).
        guard isServer, isDrained, batchPosition == batchCount, memx_verbs_port_up(verbs) != 0
        else { continue }
        free(entry)
      }
    }
  }

  private mutating func free(_ entry: Int) {
    numbers.remove(memx_verbs_number(connections[entry].handle))
    memx_verbs_destroy(connections[entry].handle)
    if connections[entry].underWay > 0 { reclaimSends(of: entry) }
    directory[peer(of: entry)] = nil
    connections[entry].handle = nil
    connections[entry].phase = .free
  }

  /// Takes back the buffers that a device which failed has not given back.
  private mutating func reclaimSends(of entry: Int) {
    for index in 0..<options.sends where Int(sendOwners[index]) == entry {
      sendOwners[index] = Self.nobody
      freeSends[freeSendCount] = UInt32(index)
      freeSendCount += 1
    }
    connections[entry].underWay = 0
  }
}
