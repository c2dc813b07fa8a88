// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc

/// Writes log lines from a thread of its own, so that a reader that is slow holds up no engine.
///
/// Holds at most `capacity` lines; further ones are left out, and their number is written.
package final class LogWriter: @unchecked Sendable {
  // Invariant behind @unchecked: all that changes is touched only with `condition` locked.

  private let descriptor: Int32
  private let capacity: Int
  private let condition = NSCondition()
  private var lines: [String] = []
  private var leftOut = 0
  private var isWriting = false

  /// - Parameters:
  ///   - descriptor: to write to; stays the caller's.
  ///   - capacity: lines to hold.
  package init(descriptor: Int32 = STDERR_FILENO, capacity: Int = 4096) {
    self.descriptor = descriptor
    self.capacity = capacity
    let thread = Thread { [weak self] in
      // A reader that has gone is no reason to end the process.
      var pipeSignal = sigset_t()
      sigemptyset(&pipeSignal)
      sigaddset(&pipeSignal, SIGPIPE)
      pthread_sigmask(SIG_BLOCK, &pipeSignal, nil)
      while let writer = self { writer.writeNext() }
    }
    thread.name = "memx:log"
    thread.start()
  }

  /// Takes a line, its line break included.
  package func write(_ line: String) {
    condition.withLock {
      if lines.count < capacity { lines.append(line) } else { leftOut += 1 }
      condition.broadcast()
    }
  }

  /// Waits until everything is written, for `timeout_s` at most.
  package func flush(timeout_s: Double = 1) {
    let end = Date(timeIntervalSinceNow: timeout_s)
    condition.withLock {
      while !lines.isEmpty || leftOut > 0 || isWriting {
        guard condition.wait(until: end) else { return }
      }
    }
  }

  /// Writes what there is, or waits for it a while.
  private func writeNext() {
    let text = condition.withLock {
      if lines.isEmpty, leftOut == 0 { _ = condition.wait(until: Date(timeIntervalSinceNow: 5)) }
      if leftOut > 0 {
        lines.append("warning log lines left out: the reader is too slow lines=\(leftOut)\n")
        leftOut = 0
      }
      defer { lines.removeAll(keepingCapacity: true) }
      isWriting = true
      return lines.joined()
    }
    var bytes = ArraySlice(Array(text.utf8))
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count > 0 {
        bytes = bytes.dropFirst(count)
      } else if count < 0, errno == EINTR {
        continue
      } else if count < 0, errno == EAGAIN {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = poll(&waiting, 1, 1000)
      } else {
        break
      }
    }
    condition.withLock {
      isWriting = false
      condition.broadcast()
    }
  }
}
