// SPDX-License-Identifier: Apache-2.0
import Console

/// The memory that the kernel keeps free for those who cannot wait (`vm.min_free_kbytes`).
///
/// Swap over a network needs some of it in the network card's driver: a driver that finds no memory
/// for the next frames may wait for reclaim with its card switched off (virtio_net does), while
/// reclaim waits for pages to go out through that card. The kernel's default for a small machine, one
/// to two megabytes, is less than the card's receive ring takes.
public struct NetworkReserve: Sendable, Equatable {
  /// Before, in KiB.
  public var formerKiB: UInt64
  /// Now, in KiB.
  public var currentKiB: UInt64

  /// What a machine that swaps over its network should keep free: a sixteenth of its memory, at most
  /// 16 MiB.
  ///
  /// - Parameter totalKiB: the machine's memory in KiB.
  public static func wantedKiB(totalKiB: UInt64) -> UInt64 { min(totalKiB / 16, 16 << 10) }

  /// Raises the reserve to what is wanted; never lowers it.
  ///
  /// - Returns: what changed, or nil when there was enough.
  /// - Throws: ``Failure`` when the kernel's files cannot be read or written.
  public static func raise(_ files: KernelFiles) throws(Failure) -> NetworkReserve? {
    let path = files.proc + "/sys/vm/min_free_kbytes"
    guard let former = files.text(path).flatMap({ UInt64($0) }) else {
      throw Failure(.failed, "cannot read \(path), which says how much memory stays free")
    }
    let wanted = wantedKiB(totalKiB: try files.memoryKiB())
    guard wanted > former else { return nil }
    do {
      try writeSmallFile(path, "\(wanted)\n")
    } catch {
      throw Failure(.failed, "cannot write \(wanted) to \(path): \(error)", errno: error.name)
    }
    return NetworkReserve(formerKiB: former, currentKiB: wanted)
  }
}
