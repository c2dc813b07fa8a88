// SPDX-License-Identifier: Apache-2.0

/// What QEMU answers to `query-migrate`, as far as it is used here (QEMU 7.2, qapi/migration.json).
///
/// Its `downtime` is left out: with postcopy-preempt QEMU 7.2 sometimes gives the time since boot.
struct MigrationStatus: Decodable, Sendable {
  /// What went over the network.
  struct Memory: Decodable, Sendable {
    /// Pages sent with their bytes.
    let normal: Int
    /// Pages sent as a mark: all zero.
    let duplicate: Int
    /// Pages that the destination asked for.
    let postcopy_requests: Int
    /// Bytes sent before the guest was stopped at the source.
    let precopy_bytes: Int

    enum CodingKeys: String, CodingKey {
      case normal, duplicate
      case postcopy_requests = "postcopy-requests"
      case precopy_bytes = "precopy-bytes"
    }
  }

  /// As in `completed`; nil before the first migration.
  let status: String?
  /// From `migrate` to the last byte, in ms.
  let total_ms: Int?
  let ram: Memory?
  /// The time that each virtual processor waited for pages, in ms; at the destination only.
  let vcpu_blocked_ms: [Int]?
  /// Why it failed.
  let error: String?

  enum CodingKeys: String, CodingKey {
    case status, ram
    case total_ms = "total-time"
    case vcpu_blocked_ms = "postcopy-vcpu-blocktime"
    case error = "error-desc"
  }
}
