// SPDX-License-Identifier: Apache-2.0
import RMAP

/// A message as it goes over the wire, with the right `length` and checksum.
func message(_ header: Header, payload: [UInt8] = []) -> [UInt8] {
  var header = header
  header.length = UInt16(payload.count).littleEndian
  return payload.withUnsafeBytes { bytes in
    withUnsafeBytes(of: header.sealed(payloadHash: payloadHash(bytes))) { Array($0) } + bytes
  }
}

/// A message taken out of a frame.
struct Received {
  var to: MACAddress
  var header: Header
  var payload: [UInt8]

  /// The messages of frames that must be in order.
  static func all(in frames: [Frame]) -> [Received] {
    frames.flatMap { frame in
      frame.bytes.withUnsafeBytes { bytes in
        var found: [Received] = []
        var reader = MessageReader(bytes)
        while case .message(let message) = reader.next() {
          found.append(
            Received(to: frame.to, header: message.header, payload: Array(message.payload)))
        }
        return found
      }
    }
  }
}

/// The bytes of the page of `value`.
func page(_ value: UInt64) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: Wire.pageBytes)
  bytes.withUnsafeMutableBytes { PageContents.fill($0.baseAddress!, value: value) }
  return bytes
}

/// One fragment of a page.
func fragment(_ index: Int, of page: [UInt8]) -> [UInt8] {
  let offset = Wire.fragmentOffset(index)
  return Array(page[offset..<offset + Wire.fragmentLength(index)])
}

extension MACAddress {
  /// An address of some client.
  static func client(_ number: UInt64) -> MACAddress {
    MACAddress(value: 0x0200_0000_1000 + number)
  }
}
