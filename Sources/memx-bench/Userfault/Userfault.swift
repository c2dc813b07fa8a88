// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Console

struct Userfault: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Compares the service of page faults with its floor in plain C.",
    discussion: """
      Case touch: a thread reads one word of each page, in random order, and another supplies the pages. \
      Latency is of the whole touch. Case batch: pages arrive one by one in the order of slots, and are \
      put in place; nobody waits. Pages come from a local buffer, so there is no network in any figure.

      Runs of memx and of the floor take turns; figures are medians of the runs. Needs the permission to \
      use userfaultfd for all faults.
      """)

  enum Case: String, ExpressibleByArgument, CaseIterable { case touch, batch }

  @Option(name: .customLong("case"), help: "touch or batch; both by default.")
  var only: Case?

  @Option(help: "Pages of a run, 1024 to 1048576.")
  var pages: Int = 16_384

  @Option(help: "Runs of each system, 1 to 101.")
  var runs: Int = 7

  @Option(help: "Seed of the order of touches.")
  var seed: UInt64 = 1

  @Flag(help: "Print one JSON object for each case and system.")
  var json = false

  func validate() throws {
    guard (1024...1_048_576).contains(pages) else {
      throw ValidationError("--pages must be 1024 to 1048576")
    }
    guard (1...101).contains(runs) else { throw ValidationError("--runs must be 1 to 101") }
  }

  func run() throws {
    for kind in only.map({ [$0] }) ?? Case.allCases {
      switch kind {
      case .touch: try touch()
      case .batch: try batch()
      }
    }
  }

  private func touch() throws {
    var found: [UserfaultSystem: [TouchFigures]] = [:]
    for run in 0..<runs {
      for system in UserfaultSystem.allCases {
        found[system, default: []].append(
          try TouchRun(pages: pages, seed: seed &+ UInt64(run)).measure(system))
      }
    }
    for system in UserfaultSystem.allCases {
      let runs = found[system]!
      report(
        "touch", system,
        [
          ("p50_us", median(runs.map(\.p50_us)), 2), ("p99_us", median(runs.map(\.p99_us)), 2),
          ("pages_per_s", median(runs.map(\.pages_per_s)), 0),
        ])
    }
    let ratio =
      median(found[.memx]!.map(\.p50_us)) / median(found[.floor]!.map(\.p50_us))
    summarize("touch: p50 of memx is \(fixed(ratio, 2)) times the floor's")
  }

  private func batch() throws {
    var found: [UserfaultSystem: [Double]] = [:]
    for _ in 0..<runs {
      for system in UserfaultSystem.allCases {
        found[system, default: []].append(try BatchRun(pages: pages).measure(system))
      }
    }
    for system in UserfaultSystem.allCases {
      report("batch", system, [("pages_per_s", median(found[system]!), 0)])
    }
    let ratio = median(found[.memx]!) / median(found[.floor]!)
    summarize("batch: memx places \(fixed(ratio * 100, 0)) % of the floor's pages/s")
  }

  private func report(
    _ kind: String, _ system: UserfaultSystem, _ figures: [(String, Double, Int)]
  ) {
    guard json else {
      let text = figures.map { "\($0.0) \(fixed($0.1, $0.2))" }.joined(separator: "  ")
      print("\(kind)  \(system.rawValue)  \(text)")
      return
    }
    var line = JSONLine()
    line.add("bench", "userfault")
    line.add("case", kind)
    line.add("system", system.rawValue)
    line.add("pages", pages)
    line.add("runs", runs)
    for (name, value, places) in figures { line.add(name, value, places: places) }
    print(line.line)
  }

  private func summarize(_ text: String) {
    if !json { print(text) }
  }
}

/// Who serves.
enum UserfaultSystem: String, CaseIterable {
  case memx, floor
}

/// The middle one; of an even number, the upper of the two.
func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
