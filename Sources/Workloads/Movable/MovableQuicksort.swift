// SPDX-License-Identifier: Apache-2.0
import Glibc

/// ``Quicksort`` with its stack and its scans in its state, so that it stops in the middle of a
/// partition: fills memory with random 64-bit numbers, sorts them, and reads them all once more, at
/// each round anew. A step is 512 words filled, scanned or read.
struct MovableQuicksort: MovableProgram {
  private static let waitingMax = 64

  private enum Phase: Int { case fill, sort, read, finished }

  /// Words from `low` up to but not including `high`.
  private struct Part { var low: Int, high: Int }

  private let parameters: MovableParameters
  private let words: Int
  private var round = 0
  private var phase = Phase.fill
  // The next page to fill or to read.
  private var page = 0
  // Words used so far: 512 are a step.
  private var used = 0

  private var part: Part
  private var waiting: [Part] = []
  // The partition of `part`, when it is under way: the two scans have swapped at `left` and `right`.
  private var isPartitioning = false
  private var left = 0
  private var right = 0
  private var pivot: UInt64 = 0

  // What was read: the last number, and the sum over a mixing of each.
  private var last: UInt64 = 0
  private var sum: UInt64 = 0

  init(_ parameters: MovableParameters) {
    self.parameters = parameters
    words = parameters.pages * pageWords
    part = Part(low: 0, high: words)
    waiting.reserveCapacity(Self.waitingMax)
  }

  init(_ state: inout StateReader) throws(BadProgram) {
    self.init(state.parameters)
    round = try state.number(0...(parameters.rounds - 1), "round")
    guard let phase = Phase(rawValue: try state.number(0...3, "phase")) else {
      throw BadProgram("the state of a program has an unknown phase")
    }
    self.phase = phase
    page = try state.number(0...pages, "page")
    used = try state.number(0...(Int.max >> 16), "words used")
    part = try Self.part(&state, within: words)
    isPartitioning = try state.number(0...1, "partition") == 1
    left = try state.number(part.low...part.high, "left scan") - 1
    right = try state.number(part.low...part.high, "right scan")
    pivot = try state.word()
    last = try state.word()
    sum = try state.word()
    for _ in 0..<(try state.number(0...Self.waitingMax, "parts that wait")) {
      waiting.append(try Self.part(&state, within: words))
    }
    try state.end()
  }

  private static func part(
    _ state: inout StateReader, within words: Int
  ) throws(BadProgram) -> Part {
    let low = try state.number(0...words, "part's start")
    return Part(low: low, high: try state.number(low...words, "part's end"))
  }

  var state: [UInt8] {
    var state = StateWriter(kind, parameters)
    for number in [
      round, phase.rawValue, page, used, part.low, part.high, isPartitioning ? 1 : 0,
      isPartitioning ? left + 1 : part.low, isPartitioning ? right : part.high,
    ] { state.append(number) }
    for word in [pivot, last, sum] { state.append(word) }
    state.append(waiting.count)
    for part in waiting {
      state.append(part.low)
      state.append(part.high)
    }
    return state.bytes
  }

  var kind: MovableKind { .quicksort }
  var pages: Int { parameters.pages }
  var fillSteps: Int { pages }
  var stepsDone: Int { used / pageWords }

  var totalSteps: Int {
    // With the median of three, 12/7 n ln n words are scanned; those of parts small enough to insert
    // are not, and the linear rest is as measured. Filling, inserting and reading are n each.
    let scans = 12.0 / 7 * log(Double(words) / Double(SortSteps.insertionWords)) + 1.5
    return parameters.rounds * Int(Double(pages) * (3 + scans))
  }

  /// Number `index` of round `round`.
  @inline(__always) private func number(_ index: Int, _ round: Int) -> UInt64 {
    mix(mix(parameters.seed &+ UInt64(round)) &+ UInt64(index) &* golden)
  }

  mutating func run(
    _ memory: UnsafeMutableRawPointer, steps: Int
  ) throws(WrongData) -> Bool {
    let numbers = memory.assumingMemoryBound(to: UInt64.self)
    let end = (stepsDone + max(0, min(steps, Int.max >> 17))) * pageWords
    while used < end {
      switch phase {
      case .fill: fill(numbers)
      case .sort: try sort(numbers, until: end)
      case .read: try read(numbers)
      case .finished: return true
      }
    }
    return phase == .finished
  }

  private mutating func fill(_ numbers: UnsafeMutablePointer<UInt64>) {
    for index in (page * pageWords)..<((page + 1) * pageWords) {
      numbers[index] = number(index, round)
    }
    advance(to: .sort)
    if phase == .sort { part = Part(low: 0, high: words) }
  }

  private mutating func read(_ numbers: UnsafeMutablePointer<UInt64>) throws(WrongData) {
    for index in (page * pageWords)..<((page + 1) * pageWords) {
      let value = numbers[index]
      if value < last { throw Self.unsorted(index, value, last) }
      last = value
      sum &+= mix(value)
    }
    advance(to: .finished)
    guard phase == .finished else { return }
    guard sum == filledSum(round) else { throw Self.otherNumbers }
    if round + 1 < parameters.rounds {
      (round, phase, last, sum) = (round + 1, .fill, 0, 0)
    }
  }

  private mutating func advance(to next: Phase) {
    used += pageWords
    page += 1
    if page == pages { (page, phase) = (0, next) }
  }

  private mutating func sort(
    _ numbers: UnsafeMutablePointer<UInt64>, until end: Int
  ) throws(WrongData) {
    while used < end {
      if isPartitioning {
        try partition(numbers, until: end)
      } else if part.high - part.low > SortSteps.insertionWords {
        let middle = part.low + (part.high - part.low) / 2
        pivot = SortSteps.median(numbers[part.low], numbers[middle], numbers[part.high - 1])
        (left, right, isPartitioning) = (part.low - 1, part.high, true)
      } else {
        SortSteps.insert(numbers, part.low, part.high)
        used += part.high - part.low
        guard let next = waiting.popLast() else {
          phase = .read
          return
        }
        part = next
      }
    }
  }

  /// Goes on with Hoare's partition of `part` until it is done or `end` words are used, and then
  /// goes on with the smaller side.
  @inline(__always) private mutating func partition(
    _ numbers: UnsafeMutablePointer<UInt64>, until end: Int
  ) throws(WrongData) {
    let (low, high, pivot) = (part.low, part.high, pivot)
    var (i, j, used) = (left, right, used)
    while used < end {
      let (iBefore, jBefore) = (i, j)
      // Bounded: numbers that changed meanwhile must not lead a scan out of the part.
      repeat { i &+= 1 } while i < high && numbers[i] < pivot
      repeat { j &-= 1 } while j >= low && numbers[j] > pivot
      used &+= (i &- iBefore) &+ (jBefore &- j)
      if i < j {
        (numbers[i], numbers[j]) = (numbers[j], numbers[i])
        continue
      }
      self.used = used
      isPartitioning = false
      // The pivot is a word of the part, so one scan stops before the end; when both stop at
      // its last word, that word goes to the second part.
      let middle = j + 1 == high ? j : j + 1
      guard low < middle, middle < high, waiting.count < Self.waitingMax else {
        throw WrongData(
          "bytes \(low * 8) to \(high * 8): the numbers changed while they were sorted")
      }
      if middle - low < high - middle {
        waiting.append(Part(low: middle, high: high))
        part.high = middle
      } else {
        waiting.append(Part(low: low, high: middle))
        part.low = middle
      }
      return
    }
    (left, right, self.used) = (i, j, used)
  }

  func verify(_ memory: UnsafeMutableRawPointer) throws(WrongData) {
    let numbers = memory.assumingMemoryBound(to: UInt64.self)
    if phase == .fill {
      for index in 0..<(page * pageWords) where numbers[index] != number(index, round) {
        throw WrongData(
          page: index / pageWords, word: index % pageWords, expected: number(index, round),
          found: numbers[index])
      }
      return
    }
    var sum: UInt64 = 0
    var last: UInt64 = 0
    for index in 0..<words {
      let value = numbers[index]
      if phase != .sort, value < last { throw Self.unsorted(index, value, last) }
      last = value
      sum &+= mix(value)
    }
    guard sum == filledSum(round) else { throw Self.otherNumbers }
  }

  /// The sum over a mixing of each number of a round, the same for any order of them and for
  /// hardly any other numbers.
  private func filledSum(_ round: Int) -> UInt64 {
    var sum: UInt64 = 0
    for index in 0..<words { sum &+= mix(number(index, round)) }
    return sum
  }

  private static var otherNumbers: WrongData {
    WrongData("the numbers in memory are not those that were filled in")
  }

  private static func unsorted(_ index: Int, _ value: UInt64, _ last: UInt64) -> WrongData {
    WrongData(
      "page \(index / pageWords), byte \(index % pageWords * 8): not sorted, "
        + "0x\(String(value, radix: 16)) stands after 0x\(String(last, radix: 16))")
  }
}
