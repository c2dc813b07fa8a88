// SPDX-License-Identifier: Apache-2.0

/// What a scenario finds while it runs.
actor Findings {
  private(set) var failures: [String] = []
  private(set) var values: [(name: String, value: Report.Value)] = []
  nonisolated let progress: Progress

  init(progress: Progress) { self.progress = progress }

  /// Something is wrong; the scenario goes on.
  func fail(_ text: String) {
    if !failures.contains(where: { text.contains($0) }) { failures.append(text) }
  }

  /// Something must hold; the scenario goes on if it does not.
  func expect(_ holds: Bool, _ text: @autoclosure () -> String) {
    if !holds { fail(text()) }
  }

  /// Ends a scenario that found something wrong.
  func throwFailures() throws {
    if !failures.isEmpty { throw LabError(failures.joined(separator: "\n")) }
  }

  /// A measured value.
  func set(_ name: String, _ value: Report.Value) {
    values.removeAll { $0.name == name }
    values.append((name, value))
  }
}
