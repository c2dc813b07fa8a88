// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Glibc
import Lab
import SystemPackage

struct Run: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Runs scenarios, one after the other.",
    discussion: "Exit code 0 when all passed, 1 when one did not. ‘memx-lab list’ names them.")

  @Argument(help: "Scenarios, as ‘memx-lab list’ names them.")
  var scenarios: [String]

  @Option(help: "The guests' kernel: 6.1 or 6.12; by default each scenario's own.")
  var kernel: KernelSeries?

  @Flag(help: "Print one JSON object a line.")
  var json = false

  @Option(help: ArgumentHelp("Keep the logs there.", valueName: "dir"))
  var keepLogs: String?

  func validate() throws {
    for name in scenarios where !Scenario.all.contains(where: { $0.name == name }) {
      throw ValidationError(
        "there is no scenario ‘\(name)’; there are: "
          + Scenario.all.map(\.name).joined(separator: ", "))
    }
  }

  func run() async throws {
    let lab = Lab()
    var pass = true
    for name in scenarios {
      guard let scenario = Scenario.all.first(where: { $0.name == name }) else { continue }
      let logs = keepLogs.map { FilePath($0).appending(name) }
      let report = await Interruption.cancelling {
        await scenario.run(lab, on: kernel, logs: logs)
      }
      pass = pass && report.pass
      print(json ? report.json() : report.table())
    }
    if !pass { throw ExitCode(1) }
  }
}

extension KernelSeries: ExpressibleByArgument {}
