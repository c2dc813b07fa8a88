// SPDX-License-Identifier: Apache-2.0

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

  /// The machine's now; 0 what it does not tell.
  public static var current: MemoryFigures {
    MemoryFigures(parsing: (try? readSmallFile("/proc/meminfo")) ?? "")
  }
}
