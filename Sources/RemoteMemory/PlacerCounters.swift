// SPDX-License-Identifier: Apache-2.0

/// What a placer has done. Pages, unless it says otherwise.
public struct PlacerCounters: Sendable, Equatable {
  /// Put in place at once, for a thread waited.
  public var placedAtOnce: UInt64 = 0
  /// Put in place with others, or at the end of a batch.
  public var placedInBatches: UInt64 = 0
  /// Arrived when a page was there already, which stayed as it was.
  public var alreadyThere: UInt64 = 0
  /// Not needed any more: the program has freed, unmapped or removed them, or has ended.
  public var unwanted: UInt64 = 0
  /// Marked as lost; an access gets SIGBUS.
  public var poisoned: UInt64 = 0
  /// System calls that copied pages or made zeros.
  public var calls: UInt64 = 0
  /// Faults read, of any thread, the same page's included.
  public var faults: UInt64 = 0
  /// Faults whose page was in place when they were read.
  public var lateFaults: UInt64 = 0

  public init() {}

  /// Pages that were put in place.
  public var placed: UInt64 { placedAtOnce + placedInBatches }
}
