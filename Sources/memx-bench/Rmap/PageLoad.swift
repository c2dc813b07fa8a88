// SPDX-License-Identifier: Apache-2.0
import Glibc
import Histogram
import RMAP

/// What a stretch of a run does.
enum LoadPhase {
  /// Writes every slot once.
  case fill
  case measured(AccessPattern)
}

/// Makes up requests, keeps their buffers, and takes the completions in.
struct PageLoad: CompletionSink, ~Copyable {
  /// One request to submit.
  struct Request {
    var index: Int
    var operation: ClientSession.Operation
    var slot: UInt64
    var buffer: UnsafeMutableRawPointer
  }

  /// The number of a request that is none of `next`'s.
  static let told = UInt64.max

  /// Set before completions can come in.
  var now_ns: UInt64 = 0
  /// What `told` was answered.
  var toldOutcome: Outcome?
  private(set) var pushesHaveEnded = false
  private(set) var latency_ns = Histogram<UInt32>(
    lowestDiscernibleValue: 100, highestTrackableValue: 100_000_000_000,
    numberOfSignificantValueDigits: .three)
  private(set) var pages: UInt64 = 0
  private(set) var failures: UInt64 = 0
  private(set) var wrongPages: UInt64 = 0

  private let slots: UInt64
  private let verify: Bool
  private let buffers: UnsafeMutableRawPointer
  let queueDepth: Int
  private let requests: UnsafeMutablePointer<Request>
  private let submitted_ns: UnsafeMutablePointer<UInt64>
  private let freeIndexes: UnsafeMutablePointer<Int>
  private var freeCount: Int
  /// How often each slot was written, when pages are verified; bit 31: a request is under way.
  private let versions: UnsafeMutablePointer<UInt32>?
  private static var busy: UInt32 { 1 << 31 }
  private var random: UInt64
  private var phase = LoadPhase.fill
  private var position: UInt64 = 0
  private var measuring = false

  init(slots: UInt64, queueDepth: Int, seed: UInt64, verify: Bool) {
    self.slots = slots
    self.verify = verify
    random = seed
    self.queueDepth = queueDepth
    buffers = .allocate(byteCount: queueDepth * Wire.pageBytes, alignment: Wire.pageBytes)
    requests = .allocate(capacity: queueDepth)
    submitted_ns = .allocate(capacity: queueDepth)
    freeIndexes = .allocate(capacity: queueDepth)
    freeCount = queueDepth
    for index in 0..<queueDepth { freeIndexes[index] = index }
    versions = verify ? .allocate(capacity: Int(slots)) : nil
    versions?.initialize(repeating: 0, count: Int(slots))
    for index in 0..<queueDepth {
      stamp(buffers + index * Wire.pageBytes, slot: UInt64(index), version: 0)
    }
  }

  deinit {
    buffers.deallocate()
    requests.deallocate()
    submitted_ns.deallocate()
    freeIndexes.deallocate()
    versions?.deallocate()
  }

  mutating func begin(_ phase: LoadPhase) {
    self.phase = phase
    position = 0
  }

  mutating func beginWarmUp() { measuring = false }

  mutating func beginMeasurement() {
    measuring = true
    pages = 0
    latency_ns.reset()
  }

  /// The memory of all buffers.
  var memory: UnsafeMutableRawBufferPointer {
    .init(start: buffers, count: queueDepth * Wire.pageBytes)
  }

  /// A request that has not completed.
  func request(_ index: Int) -> Request { requests[index] }

  /// Has `fill` written everything?
  var isExhausted: Bool {
    if case .fill = phase { return position >= slots }
    return false
  }

  /// The next request, or nil when every buffer is in use or there is nothing left to do.
  mutating func next() -> Request? {
    guard freeCount > 0, !isExhausted else { return nil }
    let isWrite: Bool
    var slot: UInt64
    switch phase {
    case .fill:
      isWrite = true
      slot = position
      position += 1
    case .measured(let pattern):
      isWrite = pattern.isWrite
      if pattern.isRandom {
        slot = multipliedHigh(nextRandom(), slots)
      } else {
        slot = position
        position = position + 1 == slots ? 0 : position + 1
      }
    }
    if let versions {
      // Two requests on one slot at a time could end in either order: take the next free slot.
      while versions[Int(slot)] & Self.busy != 0 { slot = slot + 1 == slots ? 0 : slot + 1 }
      versions[Int(slot)] |= Self.busy
    }
    freeCount -= 1
    let index = freeIndexes[freeCount]
    let buffer = buffers + index * Wire.pageBytes
    if isWrite {
      if let versions {
        stamp(buffer, slot: slot, version: versions[Int(slot)] & ~Self.busy + 1)
      } else {
        // Random bytes with a new beginning: no two pages are the same.
        buffer.storeBytes(of: nextRandom(), as: UInt64.self)
      }
    }
    let request = Request(
      index: index, operation: isWrite ? .write : .read, slot: slot, buffer: buffer)
    requests[index] = request
    submitted_ns[index] = now_ns
    return request
  }

  mutating func arrived(slot: UInt64, page: UnsafeRawPointer?, isPush: Bool) {
    pages += 1
    guard let versions else { return }
    // No page that was written is one of zeros.
    guard let page, slot < slots, isStamped(page, slot: slot, version: versions[Int(slot)]) else {
      wrongPages += 1
      return
    }
    // Twice would be wrong, too.
    versions[Int(slot)] |= Self.busy
  }

  mutating func pushesEnded() { pushesHaveEnded = true }

  mutating func completed(request: UInt64, outcome: Outcome) {
    guard request != Self.told else {
      toldOutcome = outcome
      return
    }
    let index = Int(request)
    let done = requests[index]
    freeIndexes[freeCount] = index
    freeCount += 1
    if let versions {
      versions[Int(done.slot)] &= ~Self.busy
      if outcome == .done {
        if done.operation == .write {
          versions[Int(done.slot)] += 1
        } else if !isStamped(done.buffer, slot: done.slot, version: versions[Int(done.slot)]) {
          wrongPages += 1
        }
      }
    }
    guard outcome == .done else {
      failures += 1
      return
    }
    pages += 1
    if measuring { _ = latency_ns.record(now_ns - submitted_ns[index]) }
  }

  // MARK: Contents

  /// Fills a page with what only this version of this slot has.
  private func stamp(_ page: UnsafeMutableRawPointer, slot: UInt64, version: UInt32) {
    var word = firstWord(slot: slot, version: version)
    let words = page.assumingMemoryBound(to: UInt64.self)
    for index in 0..<Wire.pageBytes / 8 {
      word = nextWord(word)
      words[index] = word
    }
  }

  private func isStamped(
    _ page: UnsafeRawPointer, slot: UInt64, version: UInt32
  ) -> Bool {
    var word = firstWord(slot: slot, version: version)
    for offset in stride(from: 0, to: Wire.pageBytes, by: 8) {
      word = nextWord(word)
      // A pushed page lies behind a header, of any alignment.
      if page.loadUnaligned(fromByteOffset: offset, as: UInt64.self) != word { return false }
    }
    return true
  }

  private func firstWord(slot: UInt64, version: UInt32) -> UInt64 {
    slot &* 0x9E37_79B9_7F4A_7C15 ^ UInt64(version) << 32 | 1
  }

  /// Xorshift (Marsaglia 2003).
  @inline(__always)
  private func nextWord(_ word: UInt64) -> UInt64 {
    var x = word
    x ^= x << 13
    x ^= x >> 7
    x ^= x << 17
    return x
  }

  @inline(__always)
  private mutating func nextRandom() -> UInt64 {
    random &+= 0x9E37_79B9_7F4A_7C15
    var z = random
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}

/// A number below `limit`, from a random one, without a division.
@inline(__always)
private func multipliedHigh(_ random: UInt64, _ limit: UInt64) -> UInt64 {
  random.multipliedFullWidth(by: limit).high
}
