// SPDX-License-Identifier: Apache-2.0
import Console
import Glibc
import Processes
import RMAP
import Workloads

/// The programs at the moment at which they stop at the source.
struct StoppedPrograms {
  /// Of each program before its first step.
  var firstStates: [[UInt8]] = []
  /// Of each program as it goes on elsewhere.
  var states: [[UInt8]] = []
  /// Steps of each program until then, and in all.
  var stepsDone: [Int] = []
  var totalSteps: [Int] = []
  /// Pages of each program.
  var pages = 0
  /// Pages that all of them touch from here to their end, each counted once.
  var touchedPages = 0
  /// The region's slots in LRU order, the youngest first.
  var order: [Extent] = []
  /// From the stop to the last page stored at the server.
  var preparation_ns: UInt64 = 0

  /// Pages of the region: those of one program after those of the other.
  var regionPages: Int { pages * states.count }
}

/// Runs programs at the source up to a moment of their work.
struct PostcopySource {
  var kind: MovableKind
  var parameters: MovableParameters
  var processes: Int
  var trace: PageTrace?
  /// The part of their work, filling memory aside, that they do before they stop.
  var stopAt: Double

  /// Program `index` before its first step; each has numbers of its own.
  private func program(_ index: Int) throws -> any MovableProgram {
    var own = parameters
    own.seed = parameters.seed &* 1024 &+ UInt64(index)
    return try kind.make(own, trace: trace)
  }

  /// Pages of each program.
  func pages() throws -> Int { try program(0).pages }

  /// Runs the programs, one after the other, in `memory` of ``StoppedPrograms/regionPages`` pages.
  ///
  /// - Parameters:
  ///   - wantsOrder: whether to record the LRU order, which takes another run of each.
  ///   - progress: called with the number of programs done.
  func run(
    in memory: UnsafeMutableRawPointer, wantsOrder: Bool, progress: (Int) -> Void
  ) throws -> StoppedPrograms {
    var stopped = StoppedPrograms()
    var recencies: [Recency] = []
    for index in 0..<processes {
      var program = try program(index)
      let steps =
        program.fillSteps + Int(stopAt * Double(program.totalSteps - program.fillSteps))
      stopped.firstStates.append(program.state)
      stopped.pages = program.pages
      if wantsOrder { recencies.append(try program.recency(after: steps)) }
      let slice = memory + index * program.pages * pageBytes
      guard try !program.run(slice, steps: steps) else {
        throw RunFailure(
          "program \(index + 1) has finished before it is to stop: stop earlier")
      }
      stopped.states.append(program.state)
      stopped.stepsDone.append(program.stepsDone)
      stopped.totalSteps.append(program.totalSteps)
      stopped.touchedPages += try program.firstTouches(slice).count
      progress(index + 1)
    }
    stopped.order = Self.merge(recencies, pages: stopped.pages)
    return stopped
  }

  /// One order of all programs' pages: the youngest class of each, then the next one of each, and so on,
  /// in order of address within a class.
  static func merge(_ recencies: [Recency], pages: Int) -> [Extent] {
    let classes = recencies.map(\.classesYoungestFirst)
    var order: [Extent] = []
    for age in 0..<(classes.map(\.count).max() ?? 0) {
      for (program, own) in classes.enumerated() where age < own.count {
        for range in own[age] {
          order.append(
            Extent(slot: UInt64(program * pages + range.first), count: UInt32(range.count)))
        }
      }
    }
    return order
  }
}
