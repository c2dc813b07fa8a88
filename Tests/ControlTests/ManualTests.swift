// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Console
import Subprocess
import Testing

@testable import memxctl

/// The repository's file at `path`.
private func repositoryFile(_ path: String) throws -> String {
  let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
  return try readSmallFile("/\(root)/\(path)")
}

@Suite struct Manual {
  @Test func hasEveryOption() throws {
    let page = try repositoryFile("tools/man/memxctl.8")
    for command in Memxctl.configuration.subcommands {
      let help = Memxctl.helpMessage(for: command)
      for match in help.matches(of: #/--([a-z][a-z-]*)/#) where match.output.1 != "help" {
        #expect(page.contains("Fl -\(match.output.1)"), "\(match.output.0) is not in memxctl.8")
      }
      let name = command.configuration.commandName ?? "\(command)".lowercased()
      #expect(page.contains(".Ss \(name)"))
    }
  }

  @Test func completionsAreUpToDate() throws {
    for (shell, file) in [
      (CompletionShell.bash, "memxctl.bash"), (.zsh, "_memxctl"), (.fish, "memxctl.fish"),
    ] {
      #expect(
        try repositoryFile("tools/completions/\(file)") == Memxctl.completionScript(for: shell)
          + "\n",
        "\(file) is out of date; run tools/completions/update")
    }
  }

  @Test func pagesAreGoodMdoc() async throws {
    let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let result = try await run(
      .name("mandoc"),
      arguments: [
        "-T", "lint", "-W", "warning", root + "/tools/man/memxctl.8",
        root + "/tools/man/memx-bench.1",
      ], output: .string(limit: 1 << 16), error: .discarded)
    #expect(result.terminationStatus.isSuccess, "\(result.standardOutput)")
  }
}
