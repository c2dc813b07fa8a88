// SPDX-License-Identifier: Apache-2.0
import CMemx
import Glibc

/// What one step of carrying a stream came to.
enum StreamStep {
  case moved
  /// Nothing came for 100 ms, or a signal did.
  case idle
  /// The input's end.
  case end
  /// Nobody reads the output any more.
  case broken
}

/// Carries the stream of a saved guest from one descriptor to another, one of which is a pipe at least.
///
/// `splice(2)` moves pages from pipe to pipe or socket; every copy would be downtime.
struct StreamPump {
  let input: Int32
  let output: Int32
  /// Bytes carried so far.
  private(set) var bytes: UInt64 = 0
  private static let chunk = 1 << 20

  init(input: Int32, output: Int32) {
    self.input = input
    self.output = output
    // The more fits in, the fewer turns between programs. A pipe that stays small works as well.
    for end in [input, output] { _ = memx_pipe_resize(end, Int32(Self.chunk)) }
  }

  /// Carries what there is.
  mutating func step() -> StreamStep {
    var ready = pollfd(fd: input, events: Int16(POLLIN), revents: 0)
    guard poll(&ready, 1, 100) > 0 else { return .idle }
    let count = memx_splice(input, output, Self.chunk)
    if count < 0 {
      switch errno {
      case EINTR: return .idle
      case EPIPE: return .broken
      default: return .end
      }
    }
    guard count > 0 else { return .end }
    bytes += UInt64(count)
    return .moved
  }
}
