// SPDX-License-Identifier: Apache-2.0

/// How far a row of tasks of known relative sizes is, and when it will have ended.
struct Pace {
  private let works: [Double]
  private var done = 0
  private let start: ContinuousClock.Instant

  /// - Parameters:
  ///   - works: how long each task takes compared to the others.
  ///   - start: when the first begins.
  init(works: some Sequence<Double>, start: ContinuousClock.Instant = .now) {
    self.works = Array(works)
    self.start = start
  }

  /// A task has ended.
  mutating func advance() { done += 1 }

  /// What is left at the pace up to now; nil while no task has ended.
  func left(at now: ContinuousClock.Instant = .now) -> Duration? {
    let ended = works.prefix(done).reduce(0, +)
    guard ended > 0 else { return nil }
    return (now - start) * (works.dropFirst(done).reduce(0, +) / ended)
  }

  /// For people, at the beginning of a task.
  var text: String {
    let place = "\(done + 1) of \(works.count)"
    guard let left = left() else { return place }
    return "\(place), about \(left.components.seconds / 60 + 1) min left"
  }
}
