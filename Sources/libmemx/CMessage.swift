// SPDX-License-Identifier: Apache-2.0
import Glibc
import RemoteMemory

/// A caller's buffer for what went wrong.
struct CMessage {
  private let buffer: UnsafeMutablePointer<CChar>?
  private let size: Int

  init(_ buffer: UnsafeMutablePointer<CChar>?, _ size: Int) {
    self.buffer = size > 0 ? buffer : nil
    self.size = size
    put("")
  }

  /// Runs `body` and turns its error into a message and a negative errno value.
  func catching(_ body: () throws(RemoteMemoryError) -> Int32) -> Int32 {
    do { return try body() } catch {
      put(error.description)
      return -error.code
    }
  }

  /// Cut between two characters where it does not fit.
  private func put(_ text: String) {
    guard let buffer else { return }
    var count = 0
    for character in text.unicodeScalars {
      let bytes = UTF8.encode(character)!
      guard count + bytes.count < size else { break }
      for byte in bytes {
        buffer[count] = CChar(bitPattern: byte)
        count += 1
      }
    }
    buffer[count] = 0
  }
}
