// SPDX-License-Identifier: Apache-2.0

/// Watches the engines' heartbeats: one that stands still for longer than the limit has stopped.
package struct HealthMonitor: Sendable {
  private struct Beat {
    var value: UInt64
    var seen_ns: UInt64
  }

  private var beats: [String: Beat] = [:]
  private let limit_ns: UInt64

  /// - Parameter limit_ns: engines beat at least once a second.
  package init(limit_ns: UInt64 = 5_000_000_000) { self.limit_ns = limit_ns }

  /// Takes in the engines' heartbeats.
  ///
  /// - Returns: the links whose engine has stopped.
  package mutating func stopped(_ heartbeats: [(link: String, value: UInt64)], now_ns: UInt64)
    -> [String]
  {
    heartbeats.compactMap { link, value in
      guard let beat = beats[link], beat.value == value else {
        beats[link] = Beat(value: value, seen_ns: now_ns)
        return nil
      }
      return now_ns &- beat.seen_ns > limit_ns ? link : nil
    }
  }
}
