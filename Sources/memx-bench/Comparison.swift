// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Prepaging
import Workloads

extension MovableKind: ExpressibleByArgument {}

/// What a comparison of strategies is made with, measured or simulated.
struct Comparison: ParsableArguments {
  /// The strategies of the paper's Figure 17, the one without a push, and our own.
  static let everyStrategy = [
    "demand-only", "push", "bubble-forward", "bubble-dual", "bubble-forward-multi",
    "bubble-dual-multi", "streams",
  ].flatMap { [$0, $0 + "+lru"] }.filter { $0 != "demand-only+lru" }

  @Option(help: "What to run.")
  var workload: MovableKind = .sequentialRead

  @Option(
    help: ArgumentHelp("The recorded program that the workload trace replays.", valueName: "file"),
    completion: .file(extensions: ["trace"]))
  var trace: String?

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Which page goes next; several may be given. By default all of the paper's, each also with the "
        + "LRU order, and streams.", valueName: "name"))
  var strategy: [String] = Comparison.everyStrategy

  @Option(
    help: ArgumentHelp(
      "What strategies with +lru are told: lru, in which order the programs had used their pages before they "
        + "stopped; or touched, in which order each touched its pages after the stop in an earlier move, for which "
        + "postcopy makes one. [default: touched for replay+lru, lru for the others]",
      valueName: "what"))
  var order: ToldOrder?

  /// What a strategy is told; nil when it goes by no order.
  func told(_ strategy: Strategy) -> ToldOrder? {
    guard strategy.usesOrder else { return nil }
    return order ?? (strategy.replays ? .touched : .lru)
  }

  /// Whether any of the strategies is told this.
  func tells(_ order: ToldOrder) -> Bool { strategy.contains { told(Strategy($0)!) == order } }

  func validate() throws {
    guard (trace != nil) == (workload == .trace) else {
      throw ValidationError("--trace goes with --workload trace, and the other way round")
    }
    for name in strategy where Strategy(name) == nil {
      throw ValidationError("--strategy \(name) is unknown: \(Strategy.help)")
    }
    guard !strategy.isEmpty else { throw ValidationError("--strategy needs a value") }
  }
}
