// SPDX-License-Identifier: Apache-2.0
import Links
import RMAP

/// A connection over RDMA, made again when it has ended.
struct VerbsPort: ClientPort, ~Copyable {
  private var link: VerbsLink
  private let name: VerbsAddress
  private let options: VerbsLink.Options
  private var nextLook_ns: UInt64 = 0
  /// Of the client's buffers, once they are registered with this connection's device.
  private var localKey: UInt32?
  /// How often the connection is looked after, and how long to wait before one more attempt to make it.
  private static var look_ns: UInt64 { 10_000_000 }
  private static var retry_ns: UInt64 { 200_000_000 }
  /// Of each step to the first connection: the kernel's connection manager repeats a lost datagram after 4.3 s.
  private static var connect_ms: Int32 { 10_000 }

  init(_ name: VerbsAddress, queueDepth: Int) throws {
    var options = VerbsLink.Options()
    // A reply for each request, and one more while it has not been looked at; pushes; the odd one.
    options.receives = 2 * queueDepth + Wire.pushWindow + 8
    options.sends = 2 * queueDepth + 8
    options.connections = 1
    options.oneSided = queueDepth
    self.name = name
    self.options = options
    link = try VerbsLink(connecting: name, options: options, timeout_ms: Self.connect_ms)
  }

  var server: MACAddress { link.server }
  var mtu: Int { VerbsLink.frameBytes }
  static var isReliable: Bool { true }

  @inline(__always)
  mutating func next() -> ReceivedFrame? {
    link.next().map { ReceivedFrame(bytes: $0.bytes, source: $0.source) }
  }

  @inline(__always)
  mutating func append(
    _ header: Header, payload: UnsafeRawBufferPointer, to peer: MACAddress, mtu: Int
  ) { link.append(header, payload: payload, to: peer, mtu: mtu) }

  mutating func appendPadded(
    _ header: Header, copying payload: UnsafeRawBufferPointer, to peer: MACAddress, mtu: Int
  ) { link.appendPadded(header, copying: payload, to: peer, mtu: mtu) }

  mutating func flush() { link.flush() }

  mutating func wait(timeout_ms: Int32) {
    link.wait(timeout_ns: UInt64(max(0, timeout_ms)) * 1_000_000)
    nextLook_ns = 0
  }

  mutating func maintain(now_ns: UInt64) -> MACAddress? {
    guard now_ns >= nextLook_ns else { return nil }
    nextLook_ns = now_ns + Self.look_ns
    link.now_ns = now_ns
    link.manage()
    guard !link.isConnected else { return nil }
    do {
      link = try VerbsLink(connecting: name, options: options)
      localKey = nil
      return link.server
    } catch {
      nextLook_ns = monotonic_ns() + Self.retry_ns
      return nil
    }
  }

  mutating func openPushBuffers() throws(LinkError) -> PushBuffers? { try link.openPushBuffers() }

  mutating func writePushes(to buffers: PushBuffers?) {
    link.writePushes(to: buffers, of: link.server)
  }

  // MARK: One-sided

  /// Registers the client's buffers, always the same.
  mutating func register(_ memory: UnsafeMutableRawBufferPointer) throws(LinkError) -> UInt32 {
    if let localKey { return localKey }
    let key = try link.register(memory)
    localKey = key
    return key
  }

  @inline(__always)
  mutating func start(
    _ request: PageLoad.Request, localKey: UInt32, in window: MemoryWindow
  ) {
    let address = window.address(of: request.slot)
    if request.operation == .write {
      link.write(
        request.index, from: request.buffer, localKey: localKey, to: address, key: window.key)
    } else {
      link.read(
        request.index, to: request.buffer, localKey: localKey, from: address, key: window.key)
    }
  }

  mutating func takeFinished() -> VerbsLink.Finished? { link.takeFinished() }

  /// Waits until something comes in or a one-sided operation completes, or the time is over.
  mutating func waitForAny(timeout_ms: Int32) {
    link.wait(timeout_ns: UInt64(max(0, timeout_ms)) * 1_000_000, forSends: true)
    nextLook_ns = 0
  }
}
