// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Workloads

/// What a simulator runs in a program's place, against the program itself.
@Suite struct MovedProgramTests {
  @Test(arguments: MovableKind.allCases, [0.0, 0.4])
  func pagesAreFirstUsedInTheProgramsOwnOrder(kind: MovableKind, stopAt: Double) throws {
    let trace = try PageTrace(madeUpTrace(pages: 33, touches: 400, seed: 4))
    let parameters = MovableParameters(pages: 33, seed: 9, rounds: 2)
    let moved = try MovedProgram(
      kind, parameters, trace: kind == .trace ? trace : nil, stopAt: stopAt, isAged: true)
    var program = try kind.make(parameters, trace: kind == .trace ? trace : nil)
    #expect(moved.pages == program.pages)

    let memory = UnsafeMutableRawPointer.allocate(
      byteCount: program.pages * pageBytes, alignment: pageBytes)
    defer { memory.deallocate() }
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: program.pages * pageBytes)
    let work = program.totalSteps - program.fillSteps
    _ = try program.run(memory, steps: program.fillSteps + Int(Double(work) * stopAt))
    let touches = try program.firstTouches(memory)

    var isSeen = [Bool](repeating: false, count: moved.pages)
    var first: [Int] = []
    for index in 0..<moved.count where !isSeen[moved[index].page] {
      isSeen[moved[index].page] = true
      first.append(moved[index].page)
    }
    // A page fault tells of a page; which of two pages that a step uses came first, a model need not know.
    #expect(Set(first) == Set(touches))
    if kind != .hash, kind != .quicksort { #expect(first == touches) }
    #expect((0..<moved.count).count { moved[$0].work < 0 } == 0)
    // All memory was filled before the move.
    #expect(Set(moved.intervals.joined()) == Set(0..<moved.pages))
  }
}
