// SPDX-License-Identifier: Apache-2.0

/// One use of a page.
struct PageUse: Equatable {
  /// Which page.
  var page: Int
  /// Whether it is rewritten after it is read.
  var writes: Bool
}

/// In which order a ``PageProgram`` uses its pages: a function of how many uses went before, so
/// that a program that moved needs nothing but that number.
protocol PageOrder: Sendable {
  /// How many uses a round has.
  var usesPerRound: Int { get }
  /// Use `index`, counted from 0.
  func use(_ index: Int) -> PageUse
  /// Iterations of ``Spin`` at use `index`.
  func spin(_ index: Int) -> Int
  /// The work of use `index`: see ``MovedProgram/Use``.
  func work(_ index: Int) -> Int
  /// What the state keeps to know the order again.
  var fingerprint: UInt64 { get }
}

extension PageOrder {
  func work(_ index: Int) -> Int { 1 }
  var fingerprint: UInt64 { 0 }
}

/// A random 64-bit word for use `index`.
@inline(__always) private func random(_ seed: UInt64, _ index: Int) -> UInt64 {
  mix(seed &+ UInt64(truncatingIfNeeded: index) &* golden)
}

/// A random number below `count` (Lemire's multiply-shift).
@inline(__always) func share(_ random: UInt64, of count: Int) -> Int {
  Int(truncatingIfNeeded: random.multipliedFullWidth(by: UInt64(count)).high)
}

/// Passes over memory in the order of addresses: the stress test of Hines, Deshpande and Gopalan,
/// section 5.1.
struct SequentialOrder: PageOrder {
  private let pages: Int
  private let spin: Int
  private let writes: Bool

  init(_ parameters: MovableParameters, writes: Bool) {
    pages = parameters.pages
    spin = parameters.spin
    self.writes = writes
  }

  var usesPerRound: Int { pages }
  func use(_ index: Int) -> PageUse { PageUse(page: index % pages, writes: writes) }
  func spin(_ index: Int) -> Int { spin }
}

/// Four streams that take turns, each from a place of its own in a stride of its own, and start
/// again from the other end's side where memory ends: strides of 1, 3, 17 and -5 pages, the second
/// and the last of which write.
struct StrideOrder: PageOrder {
  private static let strides = [1, 3, 17, -5]
  private let pages: Int
  private let seed: UInt64
  private let spin: Int

  init(_ parameters: MovableParameters) {
    pages = parameters.pages
    seed = mix(parameters.seed)
    spin = parameters.spin
  }

  var usesPerRound: Int { pages }

  func use(_ index: Int) -> PageUse {
    let stream = index & 3
    let start = share(random(seed, stream), of: pages)
    let place = (start + (index >> 2) % pages * Self.strides[stream]) % pages
    return PageUse(page: place < 0 ? place + pages : place, writes: stream & 1 == 1)
  }

  func spin(_ index: Int) -> Int { spin }
}

/// Pages that come up with a Zipf skew of 0.99 (that of YCSB's "zipfian"), the frequent ones
/// spread over memory; one use in four writes.
struct ZipfOrder: PageOrder {
  private let zipf: Zipf
  private let places: Shuffle
  private let pages: Int
  private let seed: UInt64
  private let spin: Int

  init(_ parameters: MovableParameters) {
    zipf = Zipf(count: parameters.pages, exponent: 0.99)
    places = Shuffle(count: parameters.pages, seed: parameters.seed)
    pages = parameters.pages
    seed = mix(parameters.seed)
    spin = parameters.spin
  }

  var usesPerRound: Int { pages }

  func use(_ index: Int) -> PageUse {
    var random = SplitMix64(seed: random(seed, index))
    let page = places.place(zipf.next(&random) - 1)
    return PageUse(page: page, writes: random.next() & 3 == 0)
  }

  func spin(_ index: Int) -> Int { spin }
}

/// Nine uses in ten go to a hot tenth of memory in one piece, at a place that the seed chooses, the
/// others anywhere; one use in four writes.
struct HotColdOrder: PageOrder {
  private let pages: Int
  private let hotPages: Int
  private let hotStart: Int
  private let seed: UInt64
  private let spin: Int

  init(_ parameters: MovableParameters) {
    pages = parameters.pages
    hotPages = max(1, pages / 10)
    seed = mix(parameters.seed)
    hotStart = share(random(seed, -1), of: pages - hotPages + 1)
    spin = parameters.spin
  }

  var usesPerRound: Int { pages }

  func use(_ index: Int) -> PageUse {
    let place = random(seed, index)
    let kind = mix(place)
    let page = kind % 10 == 0 ? share(place, of: pages) : hotStart + share(place, of: hotPages)
    return PageUse(page: page, writes: kind >> 62 == 0)
  }

  func spin(_ index: Int) -> Int { spin }
}

/// Any page as often as any other; one use in four writes.
struct RandomOrder: PageOrder {
  private let pages: Int
  private let seed: UInt64
  private let spin: Int

  init(_ parameters: MovableParameters) {
    pages = parameters.pages
    seed = mix(parameters.seed)
    spin = parameters.spin
  }

  var usesPerRound: Int { pages }

  func use(_ index: Int) -> PageUse {
    let place = random(seed, index)
    return PageUse(page: share(place, of: pages), writes: mix(place) & 3 == 0)
  }

  func spin(_ index: Int) -> Int { spin }
}

/// The touches of a recorded program in their order, each with arithmetic for the instructions
/// before it: see ``MovableParameters/spin``, at most ``MovableParameters/spinMax`` iterations.
struct TraceOrder: PageOrder {
  private let trace: PageTrace
  private let spin: Int

  init(_ parameters: MovableParameters, _ trace: PageTrace) {
    self.trace = trace
    spin = parameters.spin
  }

  var usesPerRound: Int { trace.touches.count }
  var fingerprint: UInt64 { trace.checksum }

  func use(_ index: Int) -> PageUse {
    let touch = trace.touches[index % trace.touches.count]
    return PageUse(page: touch.page, writes: touch.writes)
  }

  func spin(_ index: Int) -> Int {
    let instructions = trace.touches[index % trace.touches.count].instructions
    return min(MovableParameters.spinMax, instructions * spin >> 10)
  }

  // What is computed after a touch, the next one tells.
  func work(_ index: Int) -> Int { trace.touches[(index + 1) % trace.touches.count].instructions }
}
