// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import CMemx
import Console
import Glibc

/// Becomes the memory server of `memx-bench postcopy`, which ends with that program; not for people.
struct PostcopyServer: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "postcopy-server", abstract: "The server of memx-bench postcopy.",
    shouldDisplay: false)

  @Option var program: String
  @Argument var arguments: [String] = []

  func run() throws {
    // Survives exec: no server outlives a benchmark that was killed.
    _ = memx_end_with_parent()
    var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
    execv(program, &words)
    printLine("memx-bench: cannot run \(program): \(SystemError())", to: 2)
    throw ExitCode.failure
  }
}
