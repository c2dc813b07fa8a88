// SPDX-License-Identifier: Apache-2.0

/// What a guest's program `touches` says of its pass over the memory.
struct TouchReport: Sendable, Equatable {
  /// Pages touched.
  let touches: Int
  /// How long the pass took.
  let run_us: Double
  /// Touches that took 100 µs or more.
  let stalls: Int
  /// How long these took together.
  let stalled_us: Double
  /// How long the longest touch took.
  let longest_us: Double

  /// Reads a line such as `ran touches=16384 run_us=340212 stalls=2 stalled_us=901 longest_us=600`.
  ///
  /// - Throws: ``LabError`` with the line when it is something else, for one that data was wrong.
  init(_ line: String) throws {
    let words = line.split(separator: " ")
    var values: [Substring: Double] = [:]
    for word in words.dropFirst() {
      let parts = word.split(separator: "=")
      if parts.count == 2 { values[parts[0]] = Double(parts[1]) }
    }
    guard words.first == "ran", let touches = values["touches"], let run_us = values["run_us"],
      let stalls = values["stalls"], let stalled_us = values["stalled_us"],
      let longest_us = values["longest_us"]
    else { throw LabError("the guest said ‘\(line)’ where a report of its run was due") }
    self.touches = Int(touches)
    self.run_us = run_us
    self.stalls = Int(stalls)
    self.stalled_us = stalled_us
    self.longest_us = longest_us
  }
}
