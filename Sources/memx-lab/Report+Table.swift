// SPDX-License-Identifier: Apache-2.0
import Lab

extension Report {
  /// For people: a table of the values and a verdict.
  func table() -> String {
    let width = values.map(\.name.count).max() ?? 0
    let rows = values.map { name, value in
      "  " + name + String(repeating: " ", count: width - name.count + 2) + value.text
    }
    let verdict = pass ? "passed" : "FAILED\n" + failures.map { "  \($0)" }.joined(separator: "\n")
    return (["\(scenario)"] + rows + ["\(scenario): \(verdict)"]).joined(separator: "\n")
  }
}
