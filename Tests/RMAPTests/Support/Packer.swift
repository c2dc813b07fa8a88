// SPDX-License-Identifier: Apache-2.0
import RMAP

/// A frame under way: what is behind its Ethernet header, and who gets it.
struct Frame {
  var to: MACAddress
  var bytes: [UInt8]
}

/// Makes frames as a link does: it packs messages for one peer together as far as its MTU allows,
/// and reads payloads only when it is flushed.
struct Packer: FrameSink {
  private struct Piece {
    var header: Header
    var payload: UnsafeRawBufferPointer
  }

  private var open: [Piece] = []
  private var openBytes = 0
  private var openPeer = MACAddress.broadcast
  private var closed: [Frame] = []
  /// What the caller did that it must not.
  private(set) var violations: [String] = []
  private(set) var messages = 0
  /// Where peers have their pushes written.
  private(set) var pushBuffers: [MACAddress: PushBuffers] = [:]

  mutating func append(
    _ header: Header, payload: UnsafeRawBufferPointer, to peer: MACAddress, mtu: Int
  ) {
    let bytes = Wire.headerBytes + payload.count
    check(header, payload, bytes, mtu)
    if !open.isEmpty, peer != openPeer || openBytes + bytes > mtu { close() }
    openPeer = peer
    openBytes += bytes
    open.append(Piece(header: header, payload: payload))
  }

  mutating func appendPadded(
    _ header: Header, copying payload: UnsafeRawBufferPointer, to peer: MACAddress, mtu: Int
  ) {
    let bytes = Wire.headerBytes + payload.count
    check(header, payload, bytes, mtu)
    close()
    var frame = [UInt8]()
    frame.reserveCapacity(mtu)
    Self.write(header, payload, to: &frame)
    frame.append(contentsOf: repeatElement(0, count: max(0, mtu - bytes)))
    closed.append(Frame(to: peer, bytes: frame))
  }

  mutating func writePushes(to buffers: PushBuffers?, of peer: MACAddress) {
    pushBuffers[peer] = buffers
  }

  private mutating func check(
    _ header: Header, _ payload: UnsafeRawBufferPointer, _ bytes: Int, _ mtu: Int
  ) {
    messages += 1
    guard violations.count < 20 else { return }
    if bytes > mtu { violations.append("a message of \(bytes) bytes at MTU \(mtu)") }
    if header.payloadLength != payload.count { violations.append("length is not the payload's") }
  }

  /// Ends the frame under way.
  private mutating func close() {
    guard !open.isEmpty else { return }
    var frame = [UInt8]()
    frame.reserveCapacity(openBytes)
    for piece in open {
      let sealed = piece.header.sealed(payloadHash: payloadHash(piece.payload))
      if sealed.checksum != piece.header.checksum {
        violations.append("a payload changed before the flush, or a header was not sealed")
      }
      Self.write(piece.header, piece.payload, to: &frame)
    }
    closed.append(Frame(to: openPeer, bytes: frame))
    open.removeAll(keepingCapacity: true)
    openBytes = 0
  }

  private static func write(
    _ header: Header, _ payload: UnsafeRawBufferPointer, to frame: inout [UInt8]
  ) {
    withUnsafeBytes(of: header) { frame.append(contentsOf: $0) }
    frame.append(contentsOf: payload)
  }

  /// Sends: the frames since the last time.
  mutating func flush() -> [Frame] {
    close()
    defer { closed.removeAll(keepingCapacity: true) }
    return closed
  }
}
