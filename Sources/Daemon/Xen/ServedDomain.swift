// SPDX-License-Identifier: Apache-2.0
import MemoryServer

/// One domain that is to be served, and how far that has come.
struct ServedDomain {
  /// What XenStore says now.
  struct Order: Equatable {
    var region: String
    var token: String
    /// Of the frame tree; nil until the guest has published it.
    var root: String?
  }

  enum State: String {
    /// For the guest to publish its frames.
    case waiting
    case serving
    /// The guest has said that it needs nothing more.
    case complete
    case failed
  }

  var order: Order?
  var state = State.waiting
  /// nil unless `serving` or `complete`.
  var region: ForeignRegion?
  /// Pages that were pushed and fetched before this memxd began.
  var before = RegionProgress()
  /// What has been written last, and when.
  var written: RegionProgress?
  var written_ns: UInt64 = 0
}
