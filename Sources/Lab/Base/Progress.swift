// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage

/// Tells a person at a terminal what goes on; says nothing to a file or a pipe.
public struct Progress: Sendable {
  private let shown: Bool
  private let start = ContinuousClock.now

  /// - Parameter shown: whether to print; by default whether standard error is a terminal.
  public init(shown: Bool = isatty(STDERR_FILENO) == 1) { self.shown = shown }

  /// Prints one line with the time since the start.
  public func note(_ text: String) {
    guard shown else { return }
    let total_s = (ContinuousClock.now - start).components.seconds
    let seconds = total_s % 60
    let line = "[\(total_s / 60):\(seconds < 10 ? "0" : "")\(seconds)] \(text)\n"
    _ = try? FileDescriptor.standardError.writeAll(line.utf8)
  }
}
