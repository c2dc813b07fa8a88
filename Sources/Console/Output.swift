// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Writes `line` and a newline to `descriptor` in one `write` where the kernel allows it, so that
/// a reader at the other end of a pipe has each line as soon as it is printed.
///
/// - Returns: whether everything was written; false when the reader has gone or the disk is full.
@discardableResult
public func printLine(_ line: String, to descriptor: Int32 = STDOUT_FILENO) -> Bool {
  writeAll(Array((line + "\n").utf8), to: descriptor)
}

/// Writes all of `bytes` to `descriptor`, however many calls that takes.
///
/// - Returns: whether everything was written.
@discardableResult
public func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
  bytes.withUnsafeBytes { buffer in
    var done = 0
    while done < buffer.count {
      let count = write(descriptor, buffer.baseAddress! + done, buffer.count - done)
      if count < 0 {
        if errno == EINTR { continue }
        return false
      }
      done += count
    }
    return true
  }
}
