// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Console
import Control

struct Detach: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Detach a device and tell the server.",
    discussion: "Refuses while the device is open: in use as swap, mounted, or by a program.")

  @Argument(help: "The device, as memx0 or /dev/memx0.")
  var device: DeviceName

  @Flag(help: "Stop swapping to the device first; reads back all that is on it.")
  var swapoff = false

  @Flag(
    help: """
      Detach at once: what is outstanding, and what comes later, fails with I/O errors. \
      Programs that have pages on it are killed when they touch them.
      """)
  var force = false

  @OptionGroup var output: Output

  func run() throws {
    let files = KernelFiles.fromEnvironment()
    try output.report { () throws(Failure) in
      try Control.detach(
        device, force: force, swapoff: swapoff, files, MachineSwapTools())
      if output.json {
        var object = JSONLine()
        object.add("event", "detached")
        object.add("device", device.description)
        printLine(object.line)
      }
    }
  }
}
