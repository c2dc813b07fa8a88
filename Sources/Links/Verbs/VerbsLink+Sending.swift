// SPDX-License-Identifier: Apache-2.0
import CVerbs
import Glibc
import RMAP

extension VerbsLink: FrameSink {
  /// How long to wait for a buffer, or for room in a connection, before the connection that stands in the way is given
  /// up: so long does one that takes nothing hold up the others.
  private static var patience_ms: UInt64 { 2 }
  /// How long to wait for the buffers of a connection that was given up: for the device alone, not for another machine.
  private static var reclaim_ms: UInt64 { 50 }

  @inline(__always)
  public mutating func append(
    _ header: Header, payload: UnsafeRawBufferPointer, to peer: MACAddress, mtu: Int
  ) {
    let size = Wire.headerBytes + payload.count
    let number = numberOfWritten(header, payload, to: peer)
    if openBuffer < 0 || peer != openPeer || openBytes + size > min(mtu, Self.frameBytes)
      || !frameTakes(number)
    {
      guard begin(for: peer) else { return }
      openPush = number
    }
    let place = sendBuffers[openBuffer] + openBytes
    place.storeBytes(of: header, as: Header.self)
    if let base = payload.baseAddress, payload.count > 0 {
      (place + Wire.headerBytes).copyMemory(from: base, byteCount: payload.count)
    }
    openBytes += size
  }

  /// The number of a push that is to be written to the peer's buffers; nil of whatever is sent.
  @inline(__always)
  private func numberOfWritten(
    _ header: Header, _ payload: UnsafeRawBufferPointer, to peer: MACAddress
  ) -> UInt32? {
    guard header.opcode == Opcode.push.rawValue, payload.count == Wire.pageBytes,
      let entry = entry(of: peer), connections[entry].pushBuffers != nil
    else { return nil }
    return header.generationNumber
  }

  /// Whether a message can go into the frame under way: into one that is written only the push whose buffer comes next.
  @inline(__always)
  private func frameTakes(_ number: UInt32?) -> Bool {
    guard let openPush else { return number == nil }
    let next = openPush &+ UInt32(openBytes / Wire.pushBufferBytes)
    return number == next && PushBuffers.index(of: next) > 0
  }

  /// A message of a connection needs no padding: whether the path carries it was known before.
  public mutating func appendPadded(
    _ header: Header, copying payload: UnsafeRawBufferPointer, to peer: MACAddress, mtu: Int
  ) {
    append(header, payload: payload, to: peer, mtu: mtu)
  }

  /// Ends the frame under way and begins one for a peer; false when it cannot have any.
  private mutating func begin(for peer: MACAddress) -> Bool {
    endFrame()
    guard let entry = entry(of: peer) else {
      counters.dropped += 1
      return false
    }
    if freeSendCount == 0 || connections[entry].underWay == connections[entry].sendLimit {
      guard waitForRoom(entry) else {
        counters.dropped += 1
        return false
      }
    }
    freeSendCount -= 1
    openBuffer = Int(freeSends[freeSendCount])
    openBytes = 0
    openPeer = peer
    openConnection = entry
    return true
  }

  /// Waits until a connection may send one more frame.
  ///
  /// One that has as much on its way as it lets be is given up for that. But if no buffer is free, it is the one that
  /// has acknowledged nothing for longest, which need not be the one that is to send.
  ///
  /// - Returns: false when it has ended, as it does when no buffer has come back: what is not sent over a connection must
  ///   not be missing in the middle of it.
  private mutating func waitForRoom(_ entry: Int) -> Bool {
    flush()
    let start_ns = monotonic_ns()
    var hasGivenUp = false
    while true {
      takeSends()
      guard connections[entry].phase != .ending else { return false }
      let isFull = connections[entry].underWay == connections[entry].sendLimit
      if freeSendCount > 0, !isFull { return true }
      let waited_ms = (monotonic_ns() &- start_ns) / 1_000_000
      if waited_ms >= Self.patience_ms, !hasGivenUp {
        hasGivenUp = true
        if isFull {
          disconnect(entry, .full(ms: Self.patience_ms))
        } else if let idlest {
          disconnect(idlest, .idlest(ms: Self.patience_ms))
        }
      } else if waited_ms >= Self.patience_ms + Self.reclaim_ms {
        disconnect(entry, .withoutBuffer(ms: waited_ms))
        return false
      }
      sched_yield()
    }
  }

  /// Of the connections that hold buffers, the one that has acknowledged nothing for longest.
  private var idlest: Int? {
    var idlest: Int?
    for entry in 0..<entryCount
    where connections[entry].underWay > 0 && connections[entry].phase != .ending {
      if let other = idlest, connections[other].progress_ns <= connections[entry].progress_ns {
        continue
      }
      idlest = entry
    }
    return idlest
  }

  private mutating func endFrame() {
    guard openBuffer >= 0 else { return }
    let (buffer, entry) = (openBuffer, openConnection)
    openBuffer = -1
    let (handle, id) = (connections[entry].handle, Work.id(Work.send, buffer))
    let (base, bytes) = (sendBuffers[buffer], UInt32(openBytes))
    if let openPush, let buffers = connections[entry].pushBuffers {
      memx_verbs_write_immediate(
        handle, id, base, bytes, sendBuffers.localKey, buffers.address(of: openPush), buffers.key,
        openPush)
      counters.written += 1
    } else {
      memx_verbs_send(handle, id, base, bytes, sendBuffers.localKey)
    }
    sendOwners[buffer] = UInt16(entry)
    if connections[entry].underWay == 0 { connections[entry].progress_ns = now_ns }
    connections[entry].underWay += 1
    counters.frames += 1
    counters.bytes += UInt64(openBytes)
    markGathered(entry)
  }

  mutating func markGathered(_ entry: Int) {
    guard !connections[entry].hasGathered else { return }
    connections[entry].hasGathered = true
    dirty[dirtyCount] = UInt16(entry)
    dirtyCount += 1
  }

  /// Hands everything that was appended over to the device.
  public mutating func flush() {
    endFrame()
    while dirtyCount > 0 {
      dirtyCount -= 1
      let entry = Int(dirty[dirtyCount])
      connections[entry].hasGathered = false
      guard let handle = connections[entry].handle else { continue }
      counters.calls += 1
      let code = memx_verbs_post(handle)
      if code != 0 { disconnect(entry, .refused(code: code)) }
    }
    if freeSendCount < options.sends / 2 { takeSends() }
  }

  /// Takes back the buffers of what has been acknowledged; a connection that failed is ended.
  ///
  /// - Returns: how many operations have completed.
  @discardableResult
  public mutating func takeSends() -> Int {
    var total = 0
    while true {
      let count = Int(memx_verbs_poll_sends(verbs, sent, Int32(Self.batchCapacity)))
      guard count > 0 else { return total }
      total += count
      for index in 0..<count { take(sent[index]) }
    }
  }

  private mutating func take(_ completion: memx_verbs_completion) {
    let index = Int(truncatingIfNeeded: completion.id & 0xFFFF_FFFF)
    if completion.id >> 32 == Work.send {
      let entry = Int(sendOwners[index])
      guard sendOwners[index] != Self.nobody else { return }
      sendOwners[index] = Self.nobody
      freeSends[freeSendCount] = UInt32(index)
      freeSendCount += 1
      connections[entry].underWay -= 1
      if connections[entry].phase != .ending { connections[entry].progress_ns = now_ns }
      if completion.status != 0 { disconnect(entry, .failed(status: completion.status)) }
    } else if completion.id >> 32 == Work.oneSided {
      finished[finishedCount] = Finished(id: index, status: completion.status)
      finishedCount += 1
      if completion.status != 0 { disconnect(0, .failed(status: completion.status)) }
    } else if completion.status != 0, let entry = numbers.find(completion.connection) {
      disconnect(entry, .failed(status: completion.status))
    }
  }
}
