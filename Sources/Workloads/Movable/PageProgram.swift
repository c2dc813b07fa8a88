// SPDX-License-Identifier: Apache-2.0

/// Uses pages in a given order: reads and checks each, and rewrites it when the order says so. A
/// step is a page, first all of them filled in order of address.
struct PageProgram<Order: PageOrder>: MovableProgram {
  let kind: MovableKind
  private let parameters: MovableParameters
  private let order: Order
  private let contents: VersionedPage
  private(set) var stepsDone = 0
  // What the arithmetic between uses came to: a register, in effect, that moves with the state.
  private var sum: UInt64

  init(_ kind: MovableKind, _ parameters: MovableParameters, _ order: Order) {
    self.kind = kind
    self.parameters = parameters
    self.order = order
    contents = VersionedPage(seed: parameters.seed)
    sum = mix(parameters.seed)
  }

  init(_ state: inout StateReader, _ order: Order) throws(BadProgram) {
    self.init(state.kind, state.parameters, order)
    guard try state.word() == order.fingerprint else {
      throw BadProgram("the state is of a program that replays another trace")
    }
    stepsDone = try state.number(0...totalSteps, "steps done")
    sum = try state.word()
    try state.end()
  }

  var state: [UInt8] {
    var words = StateWriter(kind, parameters)
    words.append(order.fingerprint)
    words.append(stepsDone)
    words.append(sum)
    return words.bytes
  }

  var pages: Int { parameters.pages }
  var fillSteps: Int { pages }
  var totalSteps: Int { pages + order.usesPerRound * parameters.rounds }

  mutating func run(
    _ memory: UnsafeMutableRawPointer, steps: Int
  ) throws(WrongData) -> Bool {
    let words = memory.assumingMemoryBound(to: UInt64.self)
    let end = stepsDone + max(0, min(steps, totalSteps - stepsDone))
    while stepsDone < min(end, pages) {
      contents.write(page: stepsDone, version: 0, to: words + stepsDone * pageWords)
      stepsDone += 1
    }
    while stepsDone < end {
      let index = stepsDone - pages
      let use = order.use(index)
      let page = words + use.page * pageWords
      let version = try contents.version(page: use.page, limit: index, in: page)
      if use.writes { contents.write(page: use.page, version: version + 1, to: page) }
      let spin = order.spin(index)
      sum = Spin.run(spin, sum &+ UInt64(truncatingIfNeeded: version))
      stepsDone += 1
    }
    return stepsDone == totalSteps
  }

  func verify(_ memory: UnsafeMutableRawPointer) throws(WrongData) {
    let words = memory.assumingMemoryBound(to: UInt64.self)
    var versions = [UInt32](repeating: 0, count: pages)
    for index in 0..<max(0, stepsDone - pages) {
      let use = order.use(index)
      if use.writes { versions[use.page] += 1 }
    }
    for page in 0..<min(pages, stepsDone) {
      try contents.check(page: page, version: Int(versions[page]), in: words + page * pageWords)
    }
  }
}
