// SPDX-License-Identifier: Apache-2.0

/// Finds a connection's entry by its queue pair's number, without allocating: open addressing, at most half full.
struct NumberTable: ~Copyable {
  private let numbers: UnsafeMutablePointer<UInt32>
  private let entries: UnsafeMutablePointer<UInt16>
  private let mask: Int
  /// No queue pair has this number: theirs have 24 bits.
  private static var empty: UInt32 { .max }

  /// - Parameter capacity: the most numbers that are in the table at a time.
  init(capacity: Int) {
    var places = 2
    while places < 2 * capacity { places *= 2 }
    mask = places - 1
    numbers = .allocate(capacity: places)
    numbers.initialize(repeating: Self.empty, count: places)
    entries = .allocate(capacity: places)
    entries.initialize(repeating: 0, count: places)
  }

  deinit {
    numbers.deallocate()
    entries.deallocate()
  }

  @inline(__always)
  func find(_ number: UInt32) -> Int? {
    var place = Int(number) & mask
    while numbers[place] != number {
      if numbers[place] == Self.empty { return nil }
      place = (place + 1) & mask
    }
    return Int(entries[place])
  }

  mutating func insert(_ number: UInt32, _ entry: Int) {
    var place = Int(number) & mask
    while numbers[place] != Self.empty { place = (place + 1) & mask }
    numbers[place] = number
    entries[place] = UInt16(entry)
  }

  /// Removes a number that is there, and moves those behind it to where they are found without it (Knuth, volume 3,
  /// section 6.4, algorithm R).
  mutating func remove(_ number: UInt32) {
    var hole = Int(number) & mask
    while numbers[hole] != number { hole = (hole + 1) & mask }
    var place = hole
    while true {
      numbers[hole] = Self.empty
      repeat {
        place = (place + 1) & mask
        if numbers[place] == Self.empty { return }
      } while (place - Int(numbers[place]) & mask) & mask < (place - hole) & mask
      numbers[hole] = numbers[place]
      entries[hole] = entries[place]
      hole = place
    }
  }
}
