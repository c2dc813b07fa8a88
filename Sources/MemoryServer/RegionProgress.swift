// SPDX-License-Identifier: Apache-2.0
import RMAP

/// How far the pages of a region have moved, in all its post-copies together.
public struct RegionProgress: Sendable, Equatable {
  /// Pages pushed, and known to have arrived.
  public var pushed: UInt64 = 0
  /// Pages sent because the client asked: network faults.
  public var fetched: UInt64 = 0
  /// Pages that are neither pushed nor fetched, nor known to be of no use to the client.
  public var remaining: UInt64 = 0
  /// A client has said that it needs nothing more.
  public var hasEnded = false
  /// A client is attached.
  public var isAttached = false

  public init() {}
}

/// The post-copies of one region: sums of those that have ended, and the one under way.
struct Postcopies {
  private var pushed: UInt64 = 0
  private var fetched: UInt64 = 0
  private var hasEnded = false
  var current: TransferReport?

  mutating func end(_ transfer: TransferReport) {
    pushed += transfer.pushed
    fetched += transfer.fetched
    hasEnded = hasEnded || transfer.hasEnded
    current = nil
  }

  /// - Parameter stored: pages that the region holds.
  func progress(stored: Int, isAttached: Bool) -> RegionProgress {
    var progress = RegionProgress()
    progress.pushed = pushed + (current?.pushed ?? 0)
    progress.fetched = fetched + (current?.fetched ?? 0)
    progress.remaining = current?.remaining ?? (hasEnded ? 0 : UInt64(stored))
    progress.hasEnded = hasEnded
    progress.isAttached = isAttached
    return progress
  }
}
