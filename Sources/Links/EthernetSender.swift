// SPDX-License-Identifier: Apache-2.0
import CMemx
import Glibc
import RMAP

/// Packs messages into Ethernet frames and sends many with one system call.
///
/// Headers are gathered in memory of its own, pages are sent from where they lie: the kernel's copy into
/// the socket buffer is the only one. Allocates nothing after `init`.
public struct EthernetSender: FrameSink, ~Copyable {
  public private(set) var counters = SendCounters()

  private static var frameCapacity: Int { 128 }
  private static var vectorCapacity: Int { 1024 }
  private static var scratchCapacity: Int { 128 * 1024 }
  /// The most a frame of headers alone takes of the scratch memory.
  private static var scratchReserve: Int { 14 + Wire.maxMTU }

  private let socket: Int32
  private let source: MACAddress
  private let messages: UnsafeMutablePointer<memx_mmsghdr>
  private let vectors: UnsafeMutablePointer<iovec>
  private let scratch: UnsafeMutableRawPointer
  private let zeros: UnsafeMutableRawPointer
  private var frameCount = 0
  private var vectorCount = 0
  private var scratchUsed = 0
  /// Of the frame under way: bytes behind its Ethernet header, and whom it is for.
  private var openBytes = 0
  private var openPeer = MACAddress(value: 0)
  private var isOpen = false

  /// - Parameters:
  ///   - socket: of the link, which must outlive the sender.
  ///   - source: the link's address.
  public init(socket: Int32, source: MACAddress) {
    self.socket = socket
    self.source = source
    messages = .allocate(capacity: Self.frameCapacity)
    messages.initialize(repeating: memx_mmsghdr(), count: Self.frameCapacity)
    vectors = .allocate(capacity: Self.vectorCapacity)
    vectors.initialize(repeating: iovec(), count: Self.vectorCapacity)
    scratch = .allocate(byteCount: Self.scratchCapacity, alignment: 64)
    zeros = .allocate(byteCount: Wire.maxMTU, alignment: 64)
    zeros.initializeMemory(as: UInt8.self, repeating: 0, count: Wire.maxMTU)
  }

  deinit {
    messages.deallocate()
    vectors.deallocate()
    scratch.deallocate()
    zeros.deallocate()
  }

  @inline(__always)
  public mutating func append(
    _ header: Header, payload: UnsafeRawBufferPointer, to peer: MACAddress, mtu: Int
  ) {
    let size = Wire.headerBytes + payload.count
    if !isOpen || peer != openPeer || openBytes + size > mtu || isFull { open(peer) }
    addScratch(Wire.headerBytes) { $0.storeBytes(of: header, as: Header.self) }
    if let base = payload.baseAddress, payload.count > 0 {
      addVector(UnsafeMutableRawPointer(mutating: base), payload.count)
    }
    openBytes += size
  }

  public mutating func appendPadded(
    _ header: Header, copying payload: UnsafeRawBufferPointer, to peer: MACAddress, mtu: Int
  ) {
    open(peer)
    addScratch(Wire.headerBytes) { $0.storeBytes(of: header, as: Header.self) }
    addScratch(payload.count) {
      $0.copyMemory(from: payload.baseAddress!, byteCount: payload.count)
    }
    let size = Wire.headerBytes + payload.count
    if mtu > size { addVector(zeros, mtu - size) }
    isOpen = false
  }

  private var isFull: Bool {
    vectorCount + 3 > Self.vectorCapacity
      || scratchUsed + Wire.headerBytes > Self.scratchCapacity
  }

  /// Begins a frame, after sending what there is when there is no room for one more.
  private mutating func open(_ peer: MACAddress) {
    if frameCount == Self.frameCapacity || vectorCount + 8 > Self.vectorCapacity
      || scratchUsed + Self.scratchReserve > Self.scratchCapacity
    {
      flush()
    }
    let source = source
    messages[frameCount].msg_hdr.msg_iov = vectors + vectorCount
    messages[frameCount].msg_hdr.msg_iovlen = 0
    frameCount += 1
    // A frame's first vector is its own, so that the frame before keeps its length.
    addVector(scratch + scratchUsed, 0)
    addScratch(14) { bytes in
      peer.store(at: bytes)
      source.store(at: bytes + 6)
      bytes.storeBytes(of: Wire.etherType.bigEndian, toByteOffset: 12, as: UInt16.self)
    }
    openBytes = 0
    openPeer = peer
    isOpen = true
  }

  /// Puts `count` bytes in the scratch memory, joined to the vector before where that ends there.
  @inline(__always)
  private mutating func addScratch(_ count: Int, _ fill: (UnsafeMutableRawPointer) -> Void) {
    let bytes = scratch + scratchUsed
    fill(bytes)
    scratchUsed += count
    let last = vectors + (vectorCount - 1)
    if last.pointee.iov_base + Int(last.pointee.iov_len) == bytes {
      last.pointee.iov_len += count
    } else {
      addVector(bytes, count)
    }
  }

  @inline(__always)
  private mutating func addVector(_ base: UnsafeMutableRawPointer, _ count: Int) {
    vectors[vectorCount].iov_base = base
    vectors[vectorCount].iov_len = count
    vectorCount += 1
    messages[frameCount - 1].msg_hdr.msg_iovlen += 1
  }

  /// Sends everything that was appended. What the system will not take is dropped and counted: the
  /// protocol sends it again.
  public mutating func flush() {
    guard frameCount > 0 else { return }
    var sent = 0
    var waited = false
    while sent < frameCount {
      let count = memx_packet_send(socket, messages + sent, UInt32(frameCount - sent))
      counters.calls += 1
      if count > 0 {
        for index in sent..<sent + Int(count) { counters.bytes += UInt64(messages[index].msg_len) }
        sent += Int(count)
        counters.frames += UInt64(count)
        continue
      }
      let code = -count
      if code == EINTR { continue }
      if code == EAGAIN || code == ENOBUFS, !waited {
        waited = true
        var descriptor = pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)
        _ = poll(&descriptor, 1, 5)
        continue
      }
      // One frame's own fault (longer than the interface's MTU is now) does not hold up the others.
      let dropped = code == EMSGSIZE ? 1 : frameCount - sent
      counters.dropped += UInt64(dropped)
      sent += dropped
    }
    frameCount = 0
    vectorCount = 0
    scratchUsed = 0
    isOpen = false
  }
}
