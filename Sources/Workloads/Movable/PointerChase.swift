// SPDX-License-Identifier: Apache-2.0

/// Follows a random cycle through all pages, one cache line of each: no access can be told from
/// those before it, as in a list whose nodes were allocated in another order.
///
/// A step of filling writes a page and links it in after a random one of those before it, which
/// gives each cycle with the same probability (Sattolo, "An algorithm to generate a random cyclic
/// permutation", 1986, inside out); a step of work is a hop, which counts the visit in the line.
struct PointerChase: MovableProgram {
  // The words of a line that are used: the next page, the visits, and a check of both.
  private static let lineWords = 8
  private let parameters: MovableParameters
  private let pattern: PagePattern
  private let seed: UInt64
  private(set) var stepsDone = 0
  private var at = 0
  private var sum: UInt64

  init(_ parameters: MovableParameters) {
    self.parameters = parameters
    pattern = PagePattern(seed: parameters.seed, compressible: false)
    seed = mix(parameters.seed)
    sum = mix(parameters.seed)
  }

  init(_ state: inout StateReader) throws(BadProgram) {
    self.init(state.parameters)
    stepsDone = try state.number(0...totalSteps, "steps done")
    at = try state.number(0...(pages - 1), "page")
    sum = try state.word()
    try state.end()
  }

  var state: [UInt8] {
    var words = StateWriter(kind, parameters)
    words.append(stepsDone)
    words.append(at)
    words.append(sum)
    return words.bytes
  }

  var kind: MovableKind { .chase }
  var pages: Int { parameters.pages }
  var fillSteps: Int { pages }
  var totalSteps: Int { pages * (1 + parameters.rounds) }

  /// The first word of the line of `page`, within it.
  @inline(__always) private func line(_ page: Int) -> Int {
    Int(mix(seed ^ UInt64(page)) >> 58) * Self.lineWords
  }

  @inline(__always) private func check(_ page: Int, _ next: UInt64, _ visits: UInt64) -> UInt64 {
    mix(seed &+ mix(UInt64(page) &+ mix(next &+ mix(visits))))
  }

  @inline(__always) private func link(
    _ line: UnsafeMutablePointer<UInt64>, _ page: Int, to next: UInt64, visits: UInt64
  ) {
    line[0] = next
    line[1] = visits
    line[2] = check(page, next, visits)
  }

  /// The page after `page`, which must have been visited `visits` times.
  @inline(__always) private func next(
    _ line: UnsafeMutablePointer<UInt64>, _ page: Int, visits: Int
  ) throws(WrongData) -> Int {
    let (next, found) = (line[0], line[1])
    guard line[2] == check(page, next, found), next < UInt64(pages) else {
      throw WrongData("page \(page), byte \(self.line(page) * 8): the link is damaged")
    }
    guard found == UInt64(visits) else {
      throw WrongData(
        "page \(page), byte \(self.line(page) * 8 + 8): expected \(visits) visits, found \(found)")
    }
    return Int(next)
  }

  mutating func run(
    _ memory: UnsafeMutableRawPointer, steps: Int
  ) throws(WrongData) -> Bool {
    let words = memory.assumingMemoryBound(to: UInt64.self)
    let end = stepsDone + max(0, min(steps, totalSteps - stepsDone))
    while stepsDone < min(end, pages) {
      try fill(stepsDone, words)
      stepsDone += 1
    }
    while stepsDone < end {
      let line = words + at * pageWords + line(at)
      // A cycle comes to each page once before it comes to any again.
      let visits = (stepsDone - pages) / pages
      let next = try next(line, at, visits: visits)
      link(line, at, to: UInt64(next), visits: UInt64(visits + 1))
      at = next
      sum = Spin.run(parameters.spin, sum &+ UInt64(next))
      stepsDone += 1
    }
    return stepsDone == totalSteps
  }

  private func fill(
    _ page: Int, _ words: UnsafeMutablePointer<UInt64>
  ) throws(WrongData) {
    let start = pattern.start(page: page, version: 0)
    let own = words + page * pageWords
    for index in 0..<pageWords { own[index] = pattern.word(index, start) }
    guard page > 0 else {
      link(own + line(0), 0, to: 0, visits: 0)
      return
    }
    let before = share(mix(seed &+ UInt64(page) &* golden), of: page)
    let line = words + before * pageWords + line(before)
    link(own + self.line(page), page, to: UInt64(try next(line, before, visits: 0)), visits: 0)
    link(line, before, to: UInt64(page), visits: 0)
  }

  func verify(_ memory: UnsafeMutableRawPointer) throws(WrongData) {
    let words = memory.assumingMemoryBound(to: UInt64.self)
    let filled = min(stepsDone, pages)
    guard filled > 0 else { return }
    for page in 0..<filled {
      let start = pattern.start(page: page, version: 0)
      let line = line(page)
      for index in 0..<pageWords where !(line..<(line + 3)).contains(index) {
        let (expected, found) = (pattern.word(index, start), words[page * pageWords + index])
        if found != expected {
          throw WrongData(page: page, word: index, expected: expected, found: found)
        }
      }
    }
    let (rounds, rest) = max(0, stepsDone - pages).quotientAndRemainder(dividingBy: pages)
    var page = 0
    for hop in 0..<filled {
      if hop > 0, page == 0 {
        throw WrongData("the cycle of \(filled) pages closes after \(hop) hops")
      }
      let line = words + page * pageWords + line(page)
      page = try next(line, page, visits: rounds + (hop < rest ? 1 : 0))
    }
    if page != 0 { throw WrongData("the cycle of \(filled) pages does not close") }
  }
}
