// SPDX-License-Identifier: Apache-2.0
import Glibc
import Links
import RMAP

/// A frame that has come in.
struct ReceivedFrame {
  var bytes: UnsafeRawBufferPointer
  var source: MACAddress
}

/// A link with one server at its other end, as `RmapClient` drives it.
protocol ClientPort: FrameSink, ~Copyable {
  /// The most bytes of a frame.
  var mtu: Int { get }
  /// Whether it loses nothing as long as it is connected.
  static var isReliable: Bool { get }
  /// The next frame that has come in, valid until the next call; nil when there is none.
  mutating func next() -> ReceivedFrame?
  mutating func flush()
  /// Waits until something comes in, or the time is over.
  mutating func wait(timeout_ms: Int32)
  /// Looks after the connection, where there is one.
  ///
  /// - Returns: the server's address, when a new connection has taken the place of one that had ended.
  mutating func maintain(now_ns: UInt64) -> MACAddress?
}

/// An Ethernet interface.
struct EthernetPort: ClientPort, ~Copyable {
  private var link: EthernetLink
  private var sender: EthernetSender

  init(_ name: String, mtu: Int) throws {
    link = try EthernetLink(name, ringFrames: 2048, mtu: mtu)
    sender = EthernetSender(socket: link.fileDescriptor, source: link.address)
  }

  var mtu: Int { link.mtu }
  static var isReliable: Bool { false }

  @inline(__always)
  mutating func next() -> ReceivedFrame? {
    link.next().map { ReceivedFrame(bytes: $0.bytes, source: $0.source) }
  }

  @inline(__always)
  mutating func append(
    _ header: Header, payload: UnsafeRawBufferPointer, to peer: MACAddress, mtu: Int
  ) { sender.append(header, payload: payload, to: peer, mtu: mtu) }

  mutating func appendPadded(
    _ header: Header, copying payload: UnsafeRawBufferPointer, to peer: MACAddress, mtu: Int
  ) { sender.appendPadded(header, copying: payload, to: peer, mtu: mtu) }

  mutating func flush() { sender.flush() }
  mutating func wait(timeout_ms: Int32) { link.wait(timeout_ms: timeout_ms) }
  mutating func maintain(now_ns: UInt64) -> MACAddress? { nil }
}

/// A connection over RDMA, made again when it has ended.
struct VerbsPort: ClientPort, ~Copyable {
  private var link: VerbsLink
  private let name: VerbsAddress
  private let options: VerbsLink.Options
  private var nextLook_ns: UInt64 = 0
  /// How often the connection is looked after, and how long to wait before one more attempt to make it.
  private static var look_ns: UInt64 { 10_000_000 }
  private static var retry_ns: UInt64 { 200_000_000 }

  init(_ name: VerbsAddress, queueDepth: Int) throws {
    var options = VerbsLink.Options()
    // A reply for each request, and one more while it has not been looked at; pushes; the odd one.
    options.receives = 2 * queueDepth + Wire.pushWindow + 8
    options.sends = 2 * queueDepth + 8
    options.connections = 1
    self.name = name
    self.options = options
    link = try VerbsLink(connecting: name, options: options)
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
      return link.server
    } catch {
      nextLook_ns = monotonic_ns() + Self.retry_ns
      return nil
    }
  }
}
