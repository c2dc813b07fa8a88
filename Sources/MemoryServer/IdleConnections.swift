// SPDX-License-Identifier: Apache-2.0
import RMAP

/// Finds connections that have been without a session for too long: they keep others from connecting.
struct IdleConnections {
  private let timeout_ns: UInt64
  /// Since when each connection without a session has been so.
  private var since: [MACAddress: UInt64] = [:]

  init(timeout_ns: UInt64) { self.timeout_ns = timeout_ns }

  /// The connections whose time is over.
  mutating func overdue(
    _ connections: [MACAddress], with sessions: [SessionReport], now_ns: UInt64
  ) -> [MACAddress] {
    let busy = Set(sessions.map(\.peer))
    let idle = connections.filter { !busy.contains($0) }
    let former = since
    since = Dictionary(uniqueKeysWithValues: idle.map { ($0, former[$0] ?? now_ns) })
    return idle.filter { now_ns - since[$0]! > timeout_ns }
  }
}
