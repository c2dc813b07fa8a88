// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Lab

struct List: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Lists the scenarios.")

  @Flag(help: "Print one JSON object a line.")
  var json = false

  func run() {
    let width = Scenario.all.map(\.name.count).max() ?? 0
    for scenario in Scenario.all {
      if json {
        print(scenario.json)
      } else {
        let gap = String(repeating: " ", count: width - scenario.name.count + 2)
        print("\(scenario.name)\(gap)\(scenario.summary)")
      }
    }
  }
}
