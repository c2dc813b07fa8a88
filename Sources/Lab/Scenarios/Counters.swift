// SPDX-License-Identifier: Apache-2.0

/// A guest's counters of swapping since it booted.
struct Counters: Sendable {
  /// Pages written to swap.
  var pages_out = 0
  /// Pages read from swap.
  var pages_in = 0
  /// Faults that waited for a read.
  var major_faults = 0

  static func read(_ guest: Guest) async throws -> Counters {
    var counters = Counters()
    for line in try await guest.run("cat /proc/vmstat").split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count == 2, let value = Int(words[1]) else { continue }
      switch words[0] {
      case "pswpout": counters.pages_out = value
      case "pswpin": counters.pages_in = value
      case "pgmajfault": counters.major_faults = value
      default: break
      }
    }
    return counters
  }
}
