// SPDX-License-Identifier: Apache-2.0

/// Slots that the server says it pushes soon, as a header carries them.
public struct Announcement: Equatable, Sendable {
  /// The slot that comes first.
  public let first: UInt64
  /// How many slots: upwards from `first`, or downwards where it is negative; 0 for none.
  public let ahead: Int8

  static let nothing = Announcement(first: 0, count: 0)

  /// - Parameter count: as `ahead`; of more than 127 the first 127 are announced.
  public init(first: UInt64, count: Int) {
    self.first = first
    ahead = Int8(min(max(count, -Wire.maxAnnounced), Wire.maxAnnounced))
  }
}
