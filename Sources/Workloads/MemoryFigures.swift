// SPDX-License-Identifier: Apache-2.0
import Console

/// What the machine's memory and swap hold, from `/proc/meminfo`, in bytes.
public struct MemoryFigures: Sendable, Equatable {
  /// Memory that programs can have without swapping (`MemAvailable`).
  public var availableBytes: UInt64
  /// Swap space in all.
  public var swapTotalBytes: UInt64
  /// Swap space that holds nothing.
  public var swapFreeBytes: UInt64

  /// The figures in the text of `/proc/meminfo`; what is missing is 0.
  public init(parsing text: String) {
    func bytes(_ key: String) -> UInt64 {
      for line in text.split(separator: "\n") where line.hasPrefix(key + ":") {
        let words = line.split(separator: " ")
        if words.count >= 2, let kiB = UInt64(words[1]) { return kiB << 10 }
      }
      return 0
    }
    availableBytes = bytes("MemAvailable")
    swapTotalBytes = bytes("SwapTotal")
    swapFreeBytes = bytes("SwapFree")
  }

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
