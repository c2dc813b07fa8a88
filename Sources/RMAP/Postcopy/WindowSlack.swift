// SPDX-License-Identifier: Apache-2.0

/// Pages that may be on their way beyond what bandwidth and shortest round trip call for, because what
/// holds acknowledgements up is no queue of pages: a client that gets the processor late, the bridge and
/// backend of an emulated guest, whose round trips vary tenfold.
///
/// A window that follows the shortest round trip shrinks there until a fraction of the bandwidth is left, and the
/// bandwidth that is measured shrinks after it. Round trips do not tell one kind of waiting from the
/// other; trying does: where a link is full, more pages on their way arrive no faster. So where round trips are long,
/// twice as many are tried, and kept if that helped; now and then fewer, and kept if that did no harm.
struct WindowSlack {
  private enum Trial {
    case none
    case more
    case fewer
  }

  /// A trial of twice as many helped, or one of fewer did harm, when so much arrived of what had before.
  private static let helped = 1.25
  private static let harmed = 0.85
  /// Spans from a trial that did not help to the next.
  private static let patience = (least: 2, most: 64)
  private static let spansBeforeFewer = 16

  private(set) var pages = 0
  private var trial = Trial.none
  private var before = (pages: 0, throughput: 0.0)
  private var untilMore = 0
  private var patience = Self.patience.least
  private var untilFewer = spansBeforeFewer

  /// Whether twice as many are being tried.
  var triesMore: Bool { trial == .more }

  /// Takes in what happened in a span of some rounds.
  ///
  /// - Parameters:
  ///   - throughput: pages that arrived, in any unit of time, always the same.
  ///   - window: pages that might be on their way.
  ///   - isSlow: whether round trips are long.
  ///   - most: a window that no trial goes beyond.
  mutating func spanEnded(throughput: Double, window: Int, isSlow: Bool, most: Int) {
    judge(throughput)
    untilMore = max(0, untilMore - 1)
    untilFewer = max(0, untilFewer - 1)
    if isSlow, untilMore == 0, window < most {
      begin(.more, pages + min(window, most - window), throughput)
    } else if pages > 0, untilFewer == 0 {
      begin(.fewer, pages / 2, throughput)
    }
  }

  private mutating func begin(_ trial: Trial, _ pages: Int, _ throughput: Double) {
    self.trial = trial
    before = (self.pages, throughput)
    self.pages = pages
    untilFewer = Self.spansBeforeFewer
  }

  private mutating func judge(_ throughput: Double) {
    defer { trial = .none }
    switch trial {
    case .none: break
    case .more:
      if throughput >= before.throughput * Self.helped {
        patience = Self.patience.least
      } else {
        pages = before.pages
        untilMore = patience
        patience = min(2 * patience, Self.patience.most)
      }
    case .fewer:
      if throughput < before.throughput * Self.harmed { pages = before.pages }
    }
  }
}
