// SPDX-License-Identifier: Apache-2.0
import Console

extension MemoryFigures {
  /// Why a run over `bytes` would not fit, with the figures; nil when it fits.
  public func refusal(of bytes: UInt64) -> String? {
    let (total, overflow) = availableBytes.addingReportingOverflow(swapFreeBytes)
    guard !overflow, bytes > total else { return nil }
    return "--size \(ByteSize(bytes: bytes)) does not fit: \(ByteSize(bytes: availableBytes)) of "
      + "memory are available and \(ByteSize(bytes: swapFreeBytes)) of swap are free; take less, "
      + "add swap, or go on at your own risk with --force"
  }
}

/// Pages that the kernel has moved between memory and swap since it started, from `/proc/vmstat`.
public struct SwapTraffic: Sendable, Equatable {
  /// Pages read back (`pswpin`).
  public var pagesIn: UInt64 = 0
  /// Pages written out (`pswpout`).
  public var pagesOut: UInt64 = 0

  /// The counters in the text of `/proc/vmstat`; what is missing is 0.
  public init(parsing text: String) {
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count == 2, let value = UInt64(words[1]) else { continue }
      if words[0] == "pswpin" { pagesIn = value }
      if words[0] == "pswpout" { pagesOut = value }
    }
  }
}
