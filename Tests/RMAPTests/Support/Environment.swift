// SPDX-License-Identifier: Apache-2.0
import Foundation

/// What a longer run is asked for with; the defaults fit every run of the tests.
enum Environment {
  /// The number in variable `name`, or `standard` when it is not set.
  static func number(_ name: String, _ standard: Int) -> Int {
    guard let text = ProcessInfo.processInfo.environment[name] else { return standard }
    guard let number = Int(text), number >= 0 else {
      fatalError("\(name)=\(text): a whole number from 0 on is wanted")
    }
    return number
  }

  /// Simulated schedules to run.
  static let schedules = number("MEMX_SCHEDULES", 10_000)
  /// The seed of the first; each next one has one more.
  static let seed = number("MEMX_SEED", 1)
  /// Random and mutated frames for each of the things that are fuzzed.
  static let fuzzFrames = number("MEMX_FUZZ_FRAMES", 1_000_000)
}
