// SPDX-License-Identifier: Apache-2.0

/// Where outgoing messages go: a link packs them into frames and sends them when it is flushed.
///
/// A message goes into the frame under way if that is for the same peer and has room, else into a
/// new one, so what is said together travels together.
public protocol FrameSink: ~Copyable {
  /// Adds a message whose payload is sent from where it lies.
  ///
  /// - Parameters:
  ///   - header: sealed, its `length` that of the payload.
  ///   - payload: stays as it is until the sink has been flushed.
  ///   - peer: who gets it.
  ///   - mtu: the most bytes that the frame may have behind its Ethernet header.
  mutating func append(
    _ header: Header, payload: UnsafeRawBufferPointer, to peer: MACAddress, mtu: Int)

  /// Adds a message in a frame of its own, padded with zeros to `mtu`; the payload is copied.
  mutating func appendPadded(
    _ header: Header, copying payload: UnsafeRawBufferPointer, to peer: MACAddress, mtu: Int)

  /// Lets the peer reach memory directly, from before the next message that it gets until its session ends.
  ///
  /// - Returns: the key that it shows for that, nil on a link that cannot do this.
  mutating func openWindow(on memory: UnsafeMutableRawBufferPointer, for peer: MACAddress)
    -> UInt32?

  /// Has the pushes that a peer gets from now on written to its buffers, on a link that can do this; nil: sent.
  mutating func writePushes(to buffers: PushBuffers?, of peer: MACAddress)
}

extension FrameSink where Self: ~Copyable {
  public mutating func writePushes(to buffers: PushBuffers?, of peer: MACAddress) {}

  public mutating func openWindow(
    on memory: UnsafeMutableRawBufferPointer, for peer: MACAddress
  ) -> UInt32? { nil }

  /// Adds a message without payload.
  @inlinable
  mutating func append(_ header: Header, to peer: MACAddress, mtu: Int) {
    append(header, payload: UnsafeRawBufferPointer(start: nil, count: 0), to: peer, mtu: mtu)
  }
}
