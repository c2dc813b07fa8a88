// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import Workloads

/// What the recorder sees against what each program is known to do.
@Suite struct Touches {
  /// Pages in the order of their first place in `uses`.
  private func firsts(_ uses: some Sequence<Int>) -> [Int] {
    var seen: Set<Int> = []
    return uses.filter { seen.insert($0).inserted }
  }

  /// The pages that `program`, an order of pages, uses at steps `steps`, by the order itself.
  private func uses(_ order: some PageOrder, pages: Int, steps: Range<Int>) -> [Int] {
    steps.map { $0 < pages ? $0 : order.use($0 - pages).page }
  }

  private func check(
    _ kind: MovableKind, _ order: some PageOrder, _ parameters: MovableParameters
  ) throws {
    let pages = parameters.pages
    var program = try kind.make(parameters)
    let total = program.totalSteps
    for stop in [0, pages / 2, pages, pages + 1, total / 2, total - 1, total] {
      program = try kind.make(parameters)
      let memory = try MappedMemory(pages: pages, hugePages: false)
      _ = try program.run(memory.base, steps: stop)
      let before = Array(UnsafeBufferPointer(start: memory.words, count: pages * pageWords))
      let touched = try program.firstTouches(memory.base)
      #expect(touched == firsts(uses(order, pages: pages, steps: stop..<total)), "stop \(stop)")
      #expect(program.stepsDone == stop, "the program itself stays where it is")
      #expect(
        Array(UnsafeBufferPointer(start: memory.words, count: pages * pageWords)) == before)
    }
  }

  @Test func sequentialTouchesInOrder() throws {
    let parameters = MovableParameters(pages: 300, seed: 1, rounds: 2)
    try check(.sequentialRead, SequentialOrder(parameters, writes: false), parameters)
    try check(.sequentialWrite, SequentialOrder(parameters, writes: true), parameters)
  }

  @Test func strideTouchesInStrides() throws {
    let parameters = MovableParameters(pages: 300, seed: 2, rounds: 1)
    try check(.stride, StrideOrder(parameters), parameters)
  }

  @Test func zipfTouchesWhatItDraws() throws {
    let parameters = MovableParameters(pages: 300, seed: 3, rounds: 1)
    try check(.zipf, ZipfOrder(parameters), parameters)
  }

  /// The links, read from memory, give the order of the chase.
  @Test func chaseTouchesAlongItsLinks() throws {
    for seed in 1...3 as ClosedRange<UInt64> {
      let pages = 200
      var program = try MovableKind.chase.make(MovableParameters(pages: pages, seed: seed))
      let memory = try MappedMemory(pages: pages, hugePages: false)
      let stop = pages + 70
      _ = try program.run(memory.base, steps: stop)
      // The line of a page is the one with words that are not the pattern's: its first is the next.
      let pattern = PagePattern(seed: seed, compressible: false)
      func next(_ page: Int) throws -> Int {
        let start = pattern.start(page: page, version: 0)
        let word = try #require(
          (0..<pageWords).first { memory.words[page * pageWords + $0] != pattern.word($0, start) })
        return Int(memory.words[page * pageWords + word])
      }
      var page = 0
      var order: [Int] = []
      for hop in 0..<pages {
        if hop >= 70 { order.append(page) }
        page = try next(page)
      }
      #expect(page == 0)
      #expect(try program.firstTouches(memory.base) == order, "seed \(seed)")
    }
  }

  @Test func onlyTouchesAfterArmingCount() throws {
    let recorder = try TouchRecorder(pages: 10)
    let words = recorder.memory.assumingMemoryBound(to: UInt64.self)
    for page in 0..<10 { words[page * pageWords] = UInt64(page) }
    #expect(recorder.touched.isEmpty)
    for round in 1...3 {
      try recorder.arm()
      #expect(recorder.touched.isEmpty)
      for page in [7, 2, 7, 9, 2] { words[page * pageWords + 511] &+= words[page * pageWords] }
      #expect(recorder.touched == [7, 2, 9], "round \(round)")
    }
    #expect((0..<10).allSatisfy { words[$0 * pageWords] == UInt64($0) })
    #expect(words[7 * pageWords + 511] == 3 * 2 * 7)
  }

  /// Threads that touch the same pages at once: each page counts once, and nothing is lost.
  @Test func threadsTouchAtOnce() async throws {
    let pages = 2000
    let recorder = try TouchRecorder(pages: pages)
    try recorder.arm()
    let start = UInt(bitPattern: recorder.memory)
    await withTaskGroup(of: Void.self) { group in
      for thread in 0..<4 {
        group.addTask {
          var random = SplitMix64(seed: UInt64(thread / 2))
          let words = UnsafeMutablePointer<UInt64>(bitPattern: start)!
          for _ in 0..<(pages / 2) {
            words[Int(random.next() % UInt64(pages)) * pageWords + thread] = 1
          }
        }
      }
    }
    let touched = recorder.touched
    var expected: Set<Int> = []
    for seed in 0..<2 as Range<UInt64> {
      var random = SplitMix64(seed: seed)
      for _ in 0..<(pages / 2) { expected.insert(Int(random.next() % UInt64(pages))) }
    }
    #expect(touched.count == expected.count && Set(touched) == expected)
  }

  @Test func recordersAreGivenBack() throws {
    for _ in 0..<200 {
      let recorder = try TouchRecorder(pages: 3)
      try recorder.arm()
      recorder.memory.storeBytes(of: 1, as: UInt8.self)
      #expect(recorder.touched == [0])
    }
  }

  /// Young first, by the uses of each interval.
  @Test(arguments: [RecencyIntervals.even(8), .even(1), .halving(8), .halving(3)])
  func recencyIsThatOfTheUses(intervals: RecencyIntervals) throws {
    func check(
      _ kind: MovableKind, _ order: some PageOrder, _ parameters: MovableParameters
    ) throws {
      let program = try kind.make(parameters)
      for steps in [0, 1, 150, program.totalSteps * 2 / 3, program.totalSteps] {
        let found = try program.recency(after: steps, intervals: intervals).youngestFirst
        var last = [Int](repeating: -1, count: parameters.pages)
        let ends = intervals.ends(steps: steps)
        for (index, page) in uses(order, pages: parameters.pages, steps: 0..<steps).enumerated() {
          last[page] = ends.firstIndex { $0 > index }!
        }
        let order = (0..<parameters.pages).filter { last[$0] >= 0 }
          .sorted { (-last[$0], $0) < (-last[$1], $1) }
        #expect(found.flatMap { $0.first..<($0.first + $0.count) } == order, "\(kind), \(steps)")
      }
    }
    let parameters = MovableParameters(pages: 100, seed: 4, rounds: 3)
    try check(.sequentialRead, SequentialOrder(parameters, writes: false), parameters)
    try check(.stride, StrideOrder(parameters), parameters)
    try check(.hotcold, HotColdOrder(parameters), parameters)
    try check(.random, RandomOrder(parameters), parameters)
  }

  @Test func intervalsEndWhereTheyShould() {
    #expect(RecencyIntervals.even(4).ends(steps: 100) == [25, 50, 75, 100])
    #expect(RecencyIntervals.halving(4).ends(steps: 80) == [40, 60, 70, 80])
    #expect(RecencyIntervals.even(4).ends(steps: 2) == [1, 2])
    #expect(RecencyIntervals.halving(8).ends(steps: 1) == [1])
    #expect(RecencyIntervals.even(4).ends(steps: 0).isEmpty)
  }

  @Test func rangesAreMerged() {
    var recency = Recency(pages: 8)
    recency.age(touched: [0, 1, 2, 3, 6])
    recency.age(touched: [2, 1, 7])
    #expect(
      recency.youngestFirst == [
        .init(first: 1, count: 2), .init(first: 7, count: 1), .init(first: 0, count: 1),
        .init(first: 3, count: 1), .init(first: 6, count: 1),
      ])
  }
}
