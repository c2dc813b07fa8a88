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
  /// Buffers that the server may write pushes to; nil on a link that has none.
  mutating func openPushBuffers() throws(LinkError) -> PushBuffers?
}

extension ClientPort where Self: ~Copyable {
  mutating func openPushBuffers() throws(LinkError) -> PushBuffers? { nil }
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
