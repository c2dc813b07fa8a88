// SPDX-License-Identifier: Apache-2.0

/// How the run before a move is divided into intervals, of which a page that was touched in the
/// last is young.
public enum RecencyIntervals: Sendable, Equatable {
  /// So many equal ones.
  case even(Int)
  /// So many, the first half of the run, the next half of what is left, and so on: the shortest
  /// are those just before the move.
  case halving(Int)

  /// After how many of `steps` steps each interval ends; empty ones are left out.
  func ends(steps: Int) -> [Int] {
    var ends: [Int] = []
    switch self {
    case .even(let count):
      precondition(count > 0, "there is an interval")
      ends = (1...count).map { Int(Double(steps) * Double($0) / Double(count)) }
    case .halving(let count):
      precondition(count > 0, "there is an interval")
      ends = (1...count).map { $0 == count ? steps : steps - steps >> min($0, 62) }
    }
    var last = 0
    return ends.filter { end in
      defer { last = end }
      return end > last
    }
  }
}

/// What a kernel that ages pages in generations (Linux's multi-generational LRU) knows of their
/// order: in which interval each was touched last, and nothing of the order within an interval.
public struct Recency: Sendable, Equatable {
  /// Pages in a row.
  public struct Range: Sendable, Equatable {
    /// The first.
    public var first: Int
    /// How many.
    public var count: Int

    /// `count` pages from `first` on.
    public init(first: Int, count: Int) {
      self.first = first
      self.count = count
    }
  }

  // The interval in which each page was touched last, from 1 on; 0 for none.
  private var lastTouched: [UInt32]
  private var interval: UInt32 = 0

  /// `pages` pages, none of which was ever touched.
  public init(pages: Int) { lastTouched = [UInt32](repeating: 0, count: pages) }

  /// Another interval ends, in which `pages` were touched.
  public mutating func age(touched pages: some Sequence<Int>) {
    interval += 1
    for page in pages { lastTouched[page] = interval }
  }

  /// The pages that were touched, a class for each interval, the last one first; in order of address
  /// within a class.
  public var classesYoungestFirst: [[Range]] {
    var byInterval = [[Range]](repeating: [], count: Int(interval) + 1)
    var page = 0
    while page < lastTouched.count {
      let first = page
      let own = lastTouched[first]
      while page < lastTouched.count, lastTouched[page] == own { page += 1 }
      byInterval[Int(own)].append(Range(first: first, count: page - first))
    }
    return byInterval.dropFirst().reversed()
  }

  /// The classes one behind the other: the hint of LRU order of Hines, Deshpande and Gopalan, section 4.3.
  public var youngestFirst: [Range] { classesYoungestFirst.flatMap { $0 } }
}
