// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Carries the stream of a saved guest from one descriptor to another.
struct StreamPump {
  let input: Int32
  let output: Int32
  /// Bytes carried so far.
  private(set) var bytes: UInt64 = 0
  private var buffer = [UInt8](repeating: 0, count: 1 << 16)

  init(input: Int32, output: Int32) {
    self.input = input
    self.output = output
  }

  enum Step {
    case moved
    /// Nothing came for 100 ms, or a signal did.
    case idle
    /// The input's end.
    case end
    /// Nobody reads the output any more.
    case broken
  }

  /// Carries what there is.
  mutating func step() -> Step {
    var ready = pollfd(fd: input, events: Int16(POLLIN), revents: 0)
    guard poll(&ready, 1, 100) > 0 else { return .idle }
    let count = read(input, &buffer, buffer.count)
    if count < 0 { return errno == EINTR ? .idle : .end }
    guard count > 0 else { return .end }
    let written = buffer.withUnsafeBytes { bytes in
      var done = 0
      while done < count {
        let more = write(output, bytes.baseAddress! + done, count - done)
        if more < 0, errno != EINTR { return false }
        done += max(0, more)
      }
      return true
    }
    guard written else { return .broken }
    bytes += UInt64(count)
    return .moved
  }
}
