// SPDX-License-Identifier: Apache-2.0
import Console
import Glibc

/// Lines over a pair of descriptors. It reads no byte past the line that it returns: behind a line the
/// stream of a saved guest may follow.
struct LineChannel {
  /// No line is longer; a peer that sends one speaks something else.
  private static let longestLine = 4096

  let input: Int32
  let output: Int32
  private var partial: [UInt8] = []

  init(input: Int32, output: Int32) {
    self.input = input
    self.output = output
  }

  /// - Returns: false when the other side is gone.
  func send(_ line: Line) -> Bool { printLine(line.text, to: output) }

  /// What ``receive(timeout_ms:also:)`` found.
  enum Received {
    case line(Line)
    /// The other side is gone, or does not speak this language.
    case end
    /// Nothing in the time, or `also` became readable.
    case nothing
  }

  /// Waits for the next line.
  ///
  /// - Parameters:
  ///   - timeout_ms: how long; -1 for ever.
  ///   - also: returns early, with `nothing`, when this descriptor becomes readable; -1 for none.
  mutating func receive(timeout_ms: Int32, also: Int32 = -1) -> Received {
    let deadline_ms = Int64(monotonicNs() / 1_000_000) + Int64(timeout_ms)
    while true {
      let left_ms = timeout_ms < 0 ? -1 : deadline_ms - Int64(monotonicNs() / 1_000_000)
      if timeout_ms >= 0, left_ms < 0 { return .nothing }
      var ready = [
        pollfd(fd: input, events: Int16(POLLIN), revents: 0),
        pollfd(fd: also, events: Int16(POLLIN), revents: 0),
      ]
      let count = poll(&ready, 2, Int32(left_ms))
      // A signal: the caller may want to look at why.
      if count < 0 { return .nothing }
      if ready[0].revents != 0 {
        var byte: UInt8 = 0
        guard read(input, &byte, 1) == 1, partial.count < Self.longestLine else { return .end }
        if byte != 0x0a {
          partial.append(byte)
          continue
        }
        let text = String(decoding: partial, as: UTF8.self)
        partial = []
        return Line(parsing: text).map { .line($0) } ?? .end
      }
      return .nothing
    }
  }
}
