// SPDX-License-Identifier: Apache-2.0
import Glibc

/// `read(2)`, again after a signal.
func readRetrying(_ descriptor: Int32, _ buffer: inout [UInt8]) -> Int {
  while true {
    let count = read(descriptor, &buffer, buffer.count)
    if count >= 0 || errno != EINTR { return count }
  }
}

/// The last lines of what a program printed, in one.
func lastLines(_ descriptor: Int32) -> String {
  var text: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 4096)
  while case let count = readRetrying(descriptor, &chunk), count > 0 { text += chunk[..<count] }
  return String(decoding: text, as: UTF8.self).split(whereSeparator: \.isNewline).suffix(3)
    .joined(separator: "; ")
}
