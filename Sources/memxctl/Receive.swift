// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Control
import Glibc
import Migration

struct Receive: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Take in a Xen guest that memxctl migrate sends.",
    discussion: """
      Runs in dom0 of the target; memxctl migrate starts it there, by ssh. It speaks with the \
      source over standard input and output, and ends when the guest has all of its pages.
      """)

  @OptionGroup var output: Output

  func run() throws {
    signal(SIGPIPE, SIG_IGN)
    // Servers that start a program for each connection ignore how it ends, and pass that on; xl's end matters.
    signal(SIGCHLD, SIG_DFL)
    try output.report { () throws(Failure) in
      var receiver = TargetReceiver(
        store: try openStore(), input: STDIN_FILENO, output: STDOUT_FILENO)
      try receiver.run()
    }
  }
}
