// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Console
import Control

struct Status: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what is attached and how it is doing.")

  @Argument(help: "The device, as memx0 or /dev/memx0. Left out, all that are attached.")
  var device: DeviceName?

  @OptionGroup var output: Output

  func run() throws {
    let files = KernelFiles.fromEnvironment()
    try output.report { () throws(Failure) in
      var all: [DeviceStatus] = []
      for name in try files.chosen(device) { all.append(try DeviceStatus(name, files)) }
      if output.json {
        for status in all { printLine(status.json().line) }
      } else if all.isEmpty {
        printLine("No device is attached; see memxctl attach --help.", to: 2)
      } else {
        for line in DeviceStatus.table(all) { printLine(line) }
      }
    }
  }
}
