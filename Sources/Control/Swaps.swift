// SPDX-License-Identifier: Apache-2.0
import Console

/// A device in use as swap, as `/proc/swaps` has it.
public struct SwapUse: Sendable, Equatable {
  /// The size of the swap space in bytes.
  public var sizeBytes: UInt64
  /// How much of it holds pages, in bytes.
  public var usedBytes: UInt64
  /// Its priority; higher is used first.
  public var priority: Int

  /// The swap use of `device` in the text of `/proc/swaps`; nil when it is not swapped to.
  public static func of(_ device: DeviceName, in swaps: String) -> SwapUse? {
    for line in swaps.split(separator: "\n").dropFirst() {
      let words = line.split { $0 == " " || $0 == "\t" }
      guard words.count >= 5, words[0] == device.path, let sizeKiB = UInt64(words[2]),
        let usedKiB = UInt64(words[3]), let priority = Int(words[4])
      else { continue }
      return SwapUse(sizeBytes: sizeKiB << 10, usedBytes: usedKiB << 10, priority: priority)
    }
    return nil
  }
}

extension KernelFiles {
  /// How `device` is used as swap; nil when it is not.
  public func swapUse(of device: DeviceName) -> SwapUse? {
    text(proc + "/swaps").flatMap { SwapUse.of(device, in: $0) }
  }

  /// Where `device` is mounted; nil when it is not.
  public func mountPoint(of device: DeviceName) -> String? {
    for line in (text(proc + "/mounts") ?? "").split(separator: "\n") {
      let words = line.split(separator: " ")
      if words.count > 1, words[0] == device.path { return String(words[1]) }
    }
    return nil
  }
}
