// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Workloads

/// A trace of `touches` touches of `pages` pages made from `seed`, as a file.
func madeUpTrace(pages: Int, touches: Int, seed: UInt64) -> [UInt8] {
  var random = SplitMix64(seed: seed)
  return traceFile(
    pages: pages,
    touches: (0..<touches).map { index in
      let page = index < pages ? pages - 1 - index : Int(random.next() % UInt64(pages))
      return (page, random.next() & 1 == 1, Int(random.next() % 5000))
    })
}

/// Every program ends the same however it is stopped and moved, and finds wrong memory.
@Suite struct MovablePrograms {
  private static let trace: PageTrace = {
    do {
      return try PageTrace(madeUpTrace(pages: 33, touches: 400, seed: 4))
    } catch {
      fatalError("\(error)")
    }
  }()

  private func make(
    _ kind: MovableKind, pages: Int, seed: UInt64, rounds: Int = 2, spin: Int = 0
  ) throws -> any MovableProgram {
    try kind.make(
      MovableParameters(pages: pages, seed: seed, rounds: rounds, spin: spin), trace: Self.trace)
  }

  private func memory(of program: any MovableProgram) throws -> MappedMemory {
    try MappedMemory(pages: program.pages, hugePages: false)
  }

  private func bytes(_ memory: borrowing MappedMemory) -> [UInt64] {
    Array(UnsafeBufferPointer(start: memory.words, count: memory.pages * pageWords))
  }

  private func finish(
    _ program: inout any MovableProgram, _ memory: borrowing MappedMemory, by steps: Int
  ) throws {
    while try !program.run(memory.base, steps: steps) {}
  }

  @Test(arguments: MovableKind.allCases, [1, 2, 3, 17, 64])
  func aMovedRunIsTheRunThatStayed(kind: MovableKind, pages: Int) throws {
    for seed in 1...5 as ClosedRange<UInt64> {
      var stayed = try make(kind, pages: pages, seed: seed, spin: 3)
      let home = try memory(of: stayed)
      try finish(&stayed, home, by: .max)
      try stayed.verify(home.base)

      var random = SplitMix64(seed: seed)
      var moved = try make(kind, pages: pages, seed: seed, spin: 3)
      var memory = try memory(of: moved)
      var isFinished = false
      while !isFinished {
        let steps = Int(random.next() % UInt64(max(2, stayed.totalSteps / 4)))
        isFinished = try moved.run(memory.base, steps: steps)
        try moved.verify(memory.base)
        let next = try self.memory(of: moved)
        next.base.copyMemory(from: memory.base, byteCount: memory.pages * pageBytes)
        memory = next
        moved = try MovableKind.restore(moved.state, trace: Self.trace)
      }
      #expect(moved.state == stayed.state, "seed \(seed)")
      #expect(bytes(memory) == bytes(home), "seed \(seed)")
      #expect(try moved.run(memory.base, steps: 1), "it stays finished")
      #expect(moved.state == stayed.state)
    }
  }

  @Test(arguments: MovableKind.allCases) func oneStepAtATimeIsTheSame(kind: MovableKind) throws {
    var whole = try make(kind, pages: 9, seed: 8)
    var pieces = whole
    let one = try memory(of: whole)
    let other = try memory(of: pieces)
    try finish(&whole, one, by: .max)
    try finish(&pieces, other, by: 1)
    #expect(whole.state == pieces.state)
    #expect(bytes(one) == bytes(other))
  }

  @Test(arguments: MovableKind.allCases) func stepsAreAsManyAsTheyShouldBe(kind: MovableKind) throws
  {
    var program = try make(kind, pages: 400, seed: 3)
    let memory = try memory(of: program)
    #expect(program.stepsDone == 0 && program.fillSteps == program.pages)
    try finish(&program, memory, by: 100)
    let margin = kind == .quicksort ? program.totalSteps / 20 : 0
    #expect(abs(program.stepsDone - program.totalSteps) <= margin)
  }

  /// Runs to a moment in the middle of the work, damages memory as `damage` says, and expects it to
  /// be found at once.
  private func expectFound(
    _ kind: MovableKind, seed: UInt64,
    _ damage: (UnsafeMutablePointer<UInt64>, inout SplitMix64, Int) -> Void
  ) throws {
    var random = SplitMix64(seed: seed)
    // Quicksort filling anew has no more need of what it sorted before.
    var program = try make(kind, pages: 24, seed: seed, rounds: kind == .quicksort ? 1 : 3)
    let memory = try memory(of: program)
    let work = program.totalSteps - program.fillSteps
    let steps = program.fillSteps + 1 + Int(random.next() % UInt64(work - 2))
    _ = try program.run(memory.base, steps: steps)
    try program.verify(memory.base)
    let before = bytes(memory)
    damage(memory.words, &random, program.pages)
    try #require(bytes(memory) != before, "seed \(seed) damages nothing")
    #expect(throws: WrongData.self, "seed \(seed)") { try program.verify(memory.base) }
  }

  @Test(arguments: MovableKind.allCases) func aFlippedBitIsFound(kind: MovableKind) throws {
    for seed in 1...100 as ClosedRange<UInt64> {
      try expectFound(kind, seed: seed) { words, random, pages in
        let bit = Int(random.next() % UInt64(pages * pageBytes * 8))
        words[bit / 64] ^= 1 << UInt64(bit % 64)
      }
    }
  }

  @Test(arguments: MovableKind.allCases) func aPageOfZerosIsFound(kind: MovableKind) throws {
    for seed in 1...20 as ClosedRange<UInt64> {
      try expectFound(kind, seed: seed) { words, random, pages in
        let page = Int(random.next() % UInt64(pages))
        (words + page * pageWords).update(repeating: 0, count: pageWords)
      }
    }
  }

  @Test(arguments: MovableKind.allCases) func aPageInAnothersPlaceIsFound(kind: MovableKind) throws
  {
    for seed in 1...20 as ClosedRange<UInt64> {
      try expectFound(kind, seed: seed) { words, random, pages in
        let page = Int(random.next() % UInt64(pages))
        let other = (page + 1 + Int(random.next() % UInt64(pages - 1))) % pages
        (words + page * pageWords).update(from: words + other * pageWords, count: pageWords)
      }
    }
  }

  /// What post-copy must never do: give a page as it was at an earlier time.
  @Test(arguments: MovableKind.allCases) func aStalePageIsFound(kind: MovableKind) throws {
    var found = 0
    for seed in 1...20 as ClosedRange<UInt64> {
      var program = try make(kind, pages: 24, seed: seed, rounds: 4)
      let memory = try memory(of: program)
      _ = try program.run(memory.base, steps: program.totalSteps / 2)
      let old = bytes(memory)
      _ = try program.run(memory.base, steps: program.totalSteps / 8)
      let new = bytes(memory)
      for page in 0..<program.pages {
        let words = (page * pageWords)..<((page + 1) * pageWords)
        if old[words] == new[words] { continue }
        for word in words { memory.words[word] = old[word] }
        #expect(throws: WrongData.self, "seed \(seed), page \(page)") {
          try program.verify(memory.base)
        }
        for word in words { memory.words[word] = new[word] }
        found += 1
      }
      try program.verify(memory.base)
    }
    #expect(kind == .sequentialRead ? found == 0 : found > 20)
  }

  /// The damage also shows in the run itself, wherever that is bound to come to it.
  @Test(arguments: MovableKind.allCases) func runsEndAtDamage(kind: MovableKind) throws {
    for seed in 1...20 as ClosedRange<UInt64> {
      var program = try make(kind, pages: 24, seed: seed, rounds: 3)
      let memory = try memory(of: program)
      _ = try program.run(memory.base, steps: program.fillSteps + 2)
      var random = SplitMix64(seed: seed)
      for word in 0..<(program.pages * pageWords) { memory.words[word] = random.next() }
      #expect(throws: WrongData.self, "seed \(seed)") { try finish(&program, memory, by: .max) }
    }
  }

  @Test(arguments: MovableKind.allCases) func badParametersAreRefused(kind: MovableKind) throws {
    for (pages, rounds, spin) in [
      (0, 1, 0), (-1, 1, 0), (1 << 29, 1, 0), (1, 0, 0), (1, 1 << 21, 0), (1, 1, -1),
      (1, 1, MovableParameters.spinMax + 1),
    ] {
      #expect(throws: BadProgram.self) {
        try make(kind, pages: pages, seed: 1, rounds: rounds, spin: spin)
      }
    }
  }

  @Test func arithmeticTakesItsTime() {
    #expect(Spin.iterations(us: 0) == 0)
    #expect(Spin.iterations(us: 1e9) == MovableParameters.spinMax)
    #expect((2...50_000).contains(Spin.iterations(us: 10)))
    #expect(Spin.run(3, 7) == Spin.run(2, Spin.run(1, 7)))
    #expect(Spin.run(0, 7) == 7 && Spin.run(1, 7) != 7)
  }

  @Test func aShuffleHasEachPlaceOnce() {
    for count in [1, 2, 3, 4, 5, 7, 8, 9, 100, 127, 128, 129, 1000, 4096] {
      for seed in 1...5 as ClosedRange<UInt64> {
        let shuffle = Shuffle(count: count, seed: seed)
        #expect(Set((0..<count).map(shuffle.place)) == Set(0..<count), "\(count), seed \(seed)")
      }
    }
    // The mean distance of two random places is a third of the count.
    for count in [3000, 4096, 65536] {
      let shuffle = Shuffle(count: count, seed: 1)
      let places = (0..<1000).map(shuffle.place)
      let distance = zip(places, places.dropFirst()).reduce(0) { $0 + abs($1.0 - $1.1) } / 999
      #expect((count / 4...count * 5 / 12).contains(distance), "\(count): \(distance)")
    }
  }

  @Test func aTraceIsNeeded() throws {
    let parameters = MovableParameters(pages: 33, seed: 1)
    #expect(throws: BadProgram.self) { try MovableKind.trace.make(parameters) }
    let program = try MovableKind.trace.make(parameters, trace: Self.trace)
    #expect(throws: BadProgram.self) { try MovableKind.restore(program.state) }
    for pages in [33, 34] {
      let other = try PageTrace(madeUpTrace(pages: pages, touches: 400, seed: 5))
      #expect(throws: BadProgram.self) { try MovableKind.restore(program.state, trace: other) }
    }
  }

  @Test(arguments: MovableKind.allCases) func damagedStatesAreRefused(kind: MovableKind) throws {
    var program = try make(kind, pages: 20, seed: 6)
    let memory = try memory(of: program)
    _ = try program.run(memory.base, steps: program.totalSteps / 2)
    let state = program.state
    #expect(state.count <= 2048)
    for length in 0..<state.count {
      #expect(throws: BadProgram.self) {
        try MovableKind.restore(Array(state[..<length]), trace: Self.trace)
      }
    }
    for bit in 0..<(state.count * 8) {
      var damaged = state
      damaged[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(throws: BadProgram.self) { try MovableKind.restore(damaged, trace: Self.trace) }
    }
    #expect(throws: BadProgram.self) {
      try MovableKind.restore(state + [UInt8](repeating: 0, count: 8), trace: Self.trace)
    }
  }

  /// States with a right checksum and wrong words: refused, or of a program that stays within its
  /// memory and finds that it is not its own.
  @Test(arguments: MovableKind.allCases) func forgedStatesStayInMemory(kind: MovableKind) throws {
    for seed in 1...300 as ClosedRange<UInt64> {
      var random = SplitMix64(seed: seed)
      var program = try make(kind, pages: 20, seed: 6)
      let memory = try memory(of: program)
      _ = try program.run(memory.base, steps: program.totalSteps / 2)
      var state = program.state
      // Words from the seventh on are the program's own.
      let word = 6 + Int(random.next() % UInt64(state.count / 8 - 7))
      let value = [0, 1, 2, 10_239, 10_240, 10_241, .max, random.next()][
        Int(random.next() & 7)]
      for byte in 0..<8 { state[word * 8 + byte] = UInt8(value >> UInt64(byte * 8) & 255) }
      guard let forged = try? MovableKind.restore(resealed(state), trace: Self.trace) else {
        continue
      }
      program = forged
      do throws(WrongData) {
        for _ in 0..<100 { if try program.run(memory.base, steps: 1000) { break } }
        try program.verify(memory.base)
      } catch {
      }
    }
  }
}
