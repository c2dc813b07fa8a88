// SPDX-License-Identifier: Apache-2.0

/// Slots that follow each other.
public struct SlotRange: Hashable, Sendable {
  /// The lowest slot.
  public var first: Int
  /// How many there are.
  public var count: Int

  public init(first: Int, count: Int) {
    self.first = first
    self.count = count
  }

  /// The part that lies in `0..<slots`.
  func clipped(to slots: Int) -> Range<Int> {
    let (sum, overflow) = first.addingReportingOverflow(max(0, count))
    let lower = min(max(0, first), slots)
    return lower..<max(lower, min(overflow ? slots : sum, slots))
  }
}
