// SPDX-License-Identifier: Apache-2.0

/// A program that can stop after any step, move, and go on over memory at another address.
///
/// All its memory is one slice, in which nothing is an address, and the rest of what it knows is
/// this small value, which travels as ``state``. It does the very same accesses in the same order
/// at every run, however its steps are divided over calls.
public protocol MovableProgram: Sendable {
  /// What it is called.
  var kind: MovableKind { get }
  /// The pages of its memory.
  var pages: Int { get }
  /// The steps that fill its memory, before its work proper starts.
  var fillSteps: Int { get }
  /// The steps of the whole run, filling included. Exact, but for quicksort, whose steps depend on
  /// its numbers and come within a few per cent of this.
  var totalSteps: Int { get }
  /// The steps done so far.
  var stepsDone: Int { get }
  /// A few hundred bytes from which the program goes on; a trace moves apart.
  var state: [UInt8] { get }

  /// Does up to `steps` steps, each about as long as using a page or two.
  ///
  /// - Parameter memory: ``pages`` pages, zeros before the first step, afterwards what the steps
  ///   before left there; aligned to words.
  /// - Returns: whether the program has finished; it then does nothing more.
  /// - Throws: ``WrongData`` at the first thing that is not as it was left.
  mutating func run(
    _ memory: UnsafeMutableRawPointer, steps: Int
  ) throws(WrongData) -> Bool

  /// Looks at every byte that the steps so far have written and that the program still needs.
  ///
  /// - Throws: ``WrongData`` at the first thing that is not as it was left, with its place.
  func verify(_ memory: UnsafeMutableRawPointer) throws(WrongData)
}

/// What to run.
public struct MovableParameters: Sendable, Equatable {
  /// The pages of the program's memory: 1 to 2²⁸ (1 TiB). A trace brings its own number, which is
  /// taken instead.
  public var pages: Int
  /// Same seed, same accesses.
  public var seed: UInt64
  /// How often the work is done, at least 1: passes over the memory, or as many steps as a pass
  /// has; the trace's length for a trace. Quicksort sorts anew at each.
  public var rounds: Int
  /// Arithmetic besides the use of memory, in iterations of ``Spin``: at each step; or, for a
  /// trace, for each 1024 instructions of the traced program, where 256 iterations are about an
  /// instruction a cycle. Quicksort has none.
  public var spin: Int

  /// The largest number of pages.
  public static let pagesMax = 1 << 28
  /// The largest number of rounds.
  public static let roundsMax = 1 << 20
  /// The most iterations of arithmetic a step, some 300 µs.
  public static let spinMax = 1 << 18

  /// Parameters of the given values, which ``MovableKind/make(_:trace:)`` looks at.
  public init(pages: Int, seed: UInt64, rounds: Int = 1, spin: Int = 0) {
    self.pages = pages
    self.seed = seed
    self.rounds = rounds
    self.spin = spin
  }

  /// Why no program can have these, nil when it can.
  var fault: String? {
    if !(1...Self.pagesMax).contains(pages) { return "\(pages) pages, not 1 to \(Self.pagesMax)" }
    if !(1...Self.roundsMax).contains(rounds) {
      return "\(rounds) rounds, not 1 to \(Self.roundsMax)"
    }
    if !(0...Self.spinMax).contains(spin) { return "spin of \(spin), not 0 to \(Self.spinMax)" }
    return nil
  }
}

/// Parameters, a state or a trace of which no program can be made.
public struct BadProgram: Error, Equatable, Sendable, CustomStringConvertible {
  /// What is wrong with it.
  public var description: String

  init(_ description: String) { self.description = description }
}
