// SPDX-License-Identifier: Apache-2.0

/// Sorts a randomly populated array of 64-bit integers, the workload of Hines, Deshpande and
/// Gopalan, "Post-Copy Live Migration of Virtual Machines" (SIGOPS OSR 2009), section 5.4.
///
/// Compressible numbers are a byte each, so that many are equal.
///
/// Hoare's partition around the median of three, the smaller side first (so the stack stays
/// below 64 entries), and straight insertion for the last few words of a part.
public struct Quicksort: Workload, ~Copyable {
  private let memory: MappedMemory
  private let seed: UInt64
  /// How many high bits of the numbers are 0.
  private let zeroBits: UInt64
  private var sumFilled: UInt64 = 0
  private var passFilled = 0

  // A unit is a page: filled or verified, or its words brought to their places.
  public static func units(pages: Int, passes: Int) -> Int { pages * 3 * passes }

  public init(_ memory: consuming MappedMemory, seed: UInt64, compressible: Bool) {
    self.memory = memory
    zeroBits = compressible ? 56 : 0
    self.seed = seed
  }

  public mutating func fill(_ meter: inout Meter) {
    var random = SplitMix64(seed: mix(seed) &+ UInt64(truncatingIfNeeded: passFilled))
    var sum: UInt64 = 0
    for page in 0..<memory.pages {
      let words = memory.words + page * pageWords
      for index in 0..<pageWords {
        let value = random.next() &>> zeroBits
        sum &+= mix(value)
        if index == 0 { meter.store(words, value) } else { words[index] = value }
      }
      meter.advance(1)
    }
    sumFilled = sum
  }

  public mutating func work(pass: Int, _ meter: inout Meter) throws(WrongData) {
    if pass > 0 {
      try verify(&meter)
      passFilled = pass
      fill(&meter)
    }
    try sort(&meter)
  }

  /// Sorted, and the same numbers as were filled in: the sum over a mixing of each is the same
  /// for another order and for hardly anything else.
  public mutating func verify(_ meter: inout Meter) throws(WrongData) {
    var last: UInt64 = 0
    var sum: UInt64 = 0
    for page in 0..<memory.pages {
      let words = memory.words + page * pageWords
      for index in 0..<pageWords {
        let value = index == 0 ? meter.load(words) : words[index]
        if value < last {
          throw WrongData(
            "page \(page), byte \(index * 8): not sorted, 0x\(String(value, radix: 16)) stands "
              + "after 0x\(String(last, radix: 16))")
        }
        last = value
        sum &+= mix(value)
      }
      meter.advance(1)
    }
    guard sum == sumFilled else {
      throw WrongData("sorted, but not the numbers that were filled in")
    }
  }

  private func sort(_ meter: inout Meter) throws(WrongData) {
    let words = memory.words
    // Parts that wait, each as its first word and the word after its last.
    var waiting: [(low: Int, high: Int)] = []
    waiting.reserveCapacity(64)
    var low = 0
    var high = memory.pages * pageWords
    var placed = 0
    while true {
      if high - low <= SortSteps.insertionWords {
        SortSteps.insert(words, low, high)
        placed += high - low
        meter.advance(placed / pageWords)
        placed %= pageWords
        guard let part = waiting.popLast() else { return }
        (low, high) = part
        continue
      }
      let middle = partition(words, low, high, &meter)
      guard low < middle, middle < high else {
        throw WrongData(
          "bytes \(low * 8) to \(high * 8): the numbers changed while they were sorted")
      }
      if middle - low < high - middle {
        waiting.append((middle, high))
        high = middle
      } else {
        waiting.append((low, middle))
        low = middle
      }
    }
  }

  /// Divides the words `low..<high` in two non-empty parts, no word of the first greater than any
  /// of the second, and returns where the second starts. Touches are timed where the two scans
  /// come to another page. Returns `low` when the numbers changed meanwhile, which would otherwise
  /// lead a scan out of the memory.
  @inline(__always) private func partition(
    _ words: UnsafeMutablePointer<UInt64>, _ low: Int, _ high: Int, _ meter: inout Meter
  ) -> Int {
    let middle = low + (high - low) / 2
    let pivot: UInt64
    if high - low > pageWords {
      pivot = SortSteps.median(
        meter.load(words + low), meter.load(words + middle), meter.load(words + (high - 1)))
    } else {
      // The page was touched a moment ago, and reading the clock costs more than sorting a few words.
      pivot = SortSteps.median(words[low], words[middle], words[high - 1])
    }
    var i = low - 1
    var j = high
    while true {
      repeat {
        i &+= 1
        if i & (pageWords - 1) == 0 {
          if i >= memory.pages * pageWords { return low }
          _ = meter.load(words + i)
        }
      } while words[i] < pivot
      repeat {
        j &-= 1
        if j & (pageWords - 1) == pageWords - 1 {
          if j < 0 { return low }
          _ = meter.load(words + j)
        }
      } while words[j] > pivot
      if i >= j {
        // The pivot is a word of the part, so one scan stops before the end; when both stop at
        // its last word, that word goes to the second part.
        return j + 1 == high ? j : j + 1
      }
      (words[i], words[j]) = (words[j], words[i])
    }
  }
}
