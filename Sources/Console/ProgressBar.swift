// SPDX-License-Identifier: Apache-2.0
import Glibc

/// A bar on standard error that shows how far a run is. It draws only on a terminal, at most ten
/// times a second, and shows 100 % only once the run is over: estimates are estimates.
public struct ProgressBar: ~Copyable {
  private let label: String
  private let enabled: Bool
  private var lastDrawnMs: UInt64 = 0
  private var lastDrawn = ""
  private let startedMs: UInt64

  /// A bar with `label` before it. `enabled` is for tests; by default a terminal decides.
  public init(label: String, enabled: Bool = isatty(STDERR_FILENO) == 1) {
    self.label = label
    self.enabled = enabled
    startedMs = monotonicNs() / 1_000_000
  }

  /// Shows that `fraction` (0 to 1) of the work is done.
  public mutating func show(_ fraction: Double) {
    let nowMs = monotonicNs() / 1_000_000
    guard enabled, nowMs >= lastDrawnMs + 100 else { return }
    lastDrawnMs = nowMs
    let text = Self.text(label, fraction, elapsedS: (nowMs - startedMs) / 1000)
    // A serial console is a terminal too, and slow.
    guard text != lastDrawn else { return }
    lastDrawn = text
    writeAll(Array("\r\(text)\u{1b}[K".utf8), to: STDERR_FILENO)
  }

  /// Takes the bar away, so that results start on a clean line.
  public mutating func finish() {
    if !lastDrawn.isEmpty { writeAll(Array("\r\u{1b}[K".utf8), to: STDERR_FILENO) }
  }

  /// The bar as text: at most 99 %.
  static func text(_ label: String, _ fraction: Double, elapsedS: UInt64) -> String {
    let percent = max(0, min(99, Int(fraction * 100)))
    let filled = percent * 30 / 100
    let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: 30 - filled)
    return "\(label)  [\(bar)] \(percent) %  \(elapsedS) s"
  }
}

/// `CLOCK_MONOTONIC` in nanoseconds.
@inlinable @inline(__always)
public func monotonicNs() -> UInt64 {
  var now = timespec()
  clock_gettime(CLOCK_MONOTONIC, &now)
  return UInt64(bitPattern: Int64(now.tv_sec)) &* 1_000_000_000
    &+ UInt64(bitPattern: Int64(now.tv_nsec))
}
