// SPDX-License-Identifier: Apache-2.0
import CVerbs
import Glibc
import RMAP

extension VerbsLink: FrameSink {
  /// How long to wait for a buffer, or for room in a connection, before the connection is given up: so long does one
  /// that takes nothing hold up the others.
  private static var patience_ns: UInt64 { 2_000_000 }

  @inline(__always)
  public mutating func append(
    _ header: Header, payload: UnsafeRawBufferPointer, to peer: MACAddress, mtu: Int
  ) {
    let size = Wire.headerBytes + payload.count
    if openBuffer < 0 || peer != openPeer || openBytes + size > min(mtu, Self.frameBytes) {
      guard begin(for: peer) else { return }
    }
    let place = sendBuffers[openBuffer] + openBytes
    place.storeBytes(of: header, as: Header.self)
    if let base = payload.baseAddress, payload.count > 0 {
      (place + Wire.headerBytes).copyMemory(from: base, byteCount: payload.count)
    }
    openBytes += size
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
        disconnect(entry)
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

  private mutating func waitForRoom(_ entry: Int) -> Bool {
    flush()
    let end_ns = monotonic_ns() + Self.patience_ns
    while true {
      takeSends()
      guard connections[entry].phase != .ending else { return false }
      if freeSendCount > 0, connections[entry].underWay < connections[entry].sendLimit {
        return true
      }
      guard monotonic_ns() < end_ns else { return false }
      sched_yield()
    }
  }

  private mutating func endFrame() {
    guard openBuffer >= 0 else { return }
    let (buffer, entry) = (openBuffer, openConnection)
    openBuffer = -1
    let handle = connections[entry].handle
    memx_verbs_send(
      handle, Work.id(Work.send, buffer), sendBuffers[buffer], UInt32(openBytes),
      sendBuffers.localKey)
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
      if memx_verbs_post(handle) != 0 { disconnect(entry) }
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
      if completion.status != 0 { disconnect(entry) }
    } else if completion.id >> 32 == Work.oneSided {
      finished[finishedCount] = Finished(id: index, status: completion.status)
      finishedCount += 1
      if completion.status != 0 { disconnect(0) }
    } else if completion.status != 0, let entry = numbers.find(completion.connection) {
      disconnect(entry)
    }
  }
}
