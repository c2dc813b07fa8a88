// SPDX-License-Identifier: Apache-2.0
import RMAP
import Synchronization

/// Places for regions that come and go while engines run.
///
/// Engines look here when a client attaches, and keep what they need until its session has ended: nothing on the
/// page path passes the lock.
final class RegionSeats: Sendable {
  let count: Int
  private let seats: Mutex<[Region?]>

  init(count: Int) {
    self.count = count
    seats = Mutex(Array(repeating: nil, count: count))
  }

  /// The region of that name, and its seat.
  func find(_ name: RegionName) -> (seat: Int, region: Region)? {
    seats.withLock { seats in
      for case (let seat, let region?) in seats.enumerated()
      where region.configuration.name == name {
        return (seat, region)
      }
      return nil
    }
  }

  /// Regions and their seats.
  var taken: [(seat: Int, region: Region)] {
    seats.withLock { seats in
      seats.enumerated().compactMap { seat, region in region.map { (seat, $0) } }
    }
  }

  /// Gives a region a seat; false when there is none, or the name is taken.
  func add(_ region: Region) -> Bool {
    seats.withLock { seats in
      guard !seats.contains(where: { $0?.configuration.name == region.configuration.name }),
        let seat = seats.firstIndex(where: { $0 == nil })
      else { return false }
      seats[seat] = region
      return true
    }
  }

  /// Takes the region's seat away; for a region that no engine can have any more.
  func remove(_ region: Region) {
    seats.withLock { seats in
      for seat in seats.indices where seats[seat] === region { seats[seat] = nil }
    }
  }
}
