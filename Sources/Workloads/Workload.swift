// SPDX-License-Identifier: Apache-2.0

/// Work on a piece of memory that must come out right: the same seed does the same accesses and
/// leaves the same bytes.
public protocol Workload: ~Copyable {
  /// How many units of work, as ``Meter`` counts them, a run of `passes` passes has.
  static func units(pages: Int, passes: Int) -> Int

  /// A workload on `memory`, which holds zeros.
  ///
  /// - Parameter compressible: whether its data is to shrink to a third or less when it is compressed,
  ///   instead of not at all.
  init(_ memory: consuming MappedMemory, seed: UInt64, compressible: Bool)

  /// Writes the first contents to every page; called once, before any work.
  mutating func fill(_ meter: inout Meter)

  /// Does the work once; `pass` counts from 0.
  ///
  /// - Throws: ``WrongData`` at the first thing that is not as it was left.
  mutating func work(pass: Int, _ meter: inout Meter) throws(WrongData)

  /// Looks at every page once more.
  ///
  /// - Throws: ``WrongData`` at the first thing that is not as it was left.
  mutating func verify(_ meter: inout Meter) throws(WrongData)
}

/// Memory that does not hold what was written to it: the worst that a swap device can do.
public struct WrongData: Error, Equatable, Sendable, CustomStringConvertible {
  /// Where and what, in a sentence.
  public var description: String

  init(_ description: String) { self.description = description }

  /// Word `word` of page `page` is `found` instead of `expected`.
  init(page: Int, word: Int, expected: UInt64, found: UInt64) {
    self.init(
      "page \(page), byte \(word * 8): expected 0x\(String(expected, radix: 16)), "
        + "found 0x\(String(found, radix: 16))")
  }
}
