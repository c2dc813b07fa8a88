// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Console
import Testing

@testable import memx_bench

@Suite struct BenchManual {
  private func repositoryFile(_ path: String) throws -> String {
    let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    return try readSmallFile("/\(root)/\(path)")
  }

  @Test func hasEveryOption() throws {
    let page = try repositoryFile("tools/man/memx-bench.1")
    let sections = page.split(separator: ".Ss Options of ")
    for (command, name) in [
      (Swap.self, "swap"), (Rmap.self, "rmap"), (Userfault.self, "userfault"),
      (Postcopy.self, "postcopy"), (Simulate.self, "simulate"),
    ]
      as [(any ParsableCommand.Type, String)]
    {
      let section = try #require(sections.first { $0.hasPrefix(name + "\n") })
      let help = MemxBench.helpMessage(for: command)
      for match in help.matches(of: #/--([a-z][a-z-]*)/#) where match.output.1 != "help" {
        #expect(
          section.contains(".It Fl -\(match.output.1)"),
          "\(match.output.0) of \(name) is not in memx-bench.1")
      }
    }
  }

  @Test func completionsAreUpToDate() throws {
    for (shell, file) in [
      (CompletionShell.bash, "memx-bench.bash"), (.zsh, "_memx-bench"), (.fish, "memx-bench.fish"),
    ] {
      #expect(
        try repositoryFile("tools/completions/\(file)") == MemxBench.completionScript(for: shell)
          + "\n", "\(file) is out of date; run tools/completions/update")
    }
  }
}
