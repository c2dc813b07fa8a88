// SPDX-License-Identifier: Apache-2.0
import Console
import Glibc

/// Lines of text, both ways over one end of a socket pair.
final class LineChannel {
  private static let lineMax = 1 << 20
  let descriptor: Int32
  private var unread: [UInt8] = []

  /// Takes the descriptor, which is closed with this object.
  init(_ descriptor: Int32) { self.descriptor = descriptor }

  deinit { close(descriptor) }

  /// Says whether the other end was still there.
  @discardableResult
  func send(_ line: String) -> Bool { writeAll(Array((line + "\n").utf8), to: descriptor) }

  /// Waits for the next line; nil at the end.
  func next() -> String? {
    while true {
      if let line = takeLine() { return line }
      guard fill() else { return nil }
    }
  }

  /// A line that has come already.
  func takeLine() -> String? {
    guard let end = unread.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
    defer { unread.removeSubrange(...end) }
    return String(decoding: unread[..<end], as: UTF8.self)
  }

  /// Reads what has come, and waits if nothing has; false at the end.
  func fill() -> Bool {
    var chunk = [UInt8](repeating: 0, count: 16_384)
    var count = 0
    repeat { count = read(descriptor, &chunk, chunk.count) } while count < 0 && errno == EINTR
    guard count > 0, unread.count < Self.lineMax else { return false }
    unread += chunk[..<count]
    return true
  }
}

/// Bytes as hexadecimal digits.
func hexadecimal(_ bytes: [UInt8]) -> String {
  var text = ""
  for byte in bytes {
    text += (byte < 16 ? "0" : "") + String(byte, radix: 16)
  }
  return text
}

/// The bytes of hexadecimal digits; nil when there are others.
func bytes(hexadecimal text: Substring) -> [UInt8]? {
  let digits = text.compactMap(\.hexDigitValue)
  guard digits.count == text.count, digits.count % 2 == 0 else { return nil }
  return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}
