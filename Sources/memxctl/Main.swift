// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Console
import Control

@main struct Memxctl: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "memxctl",
    abstract: "Attaches regions of remote memory as block devices, for swap, and watches them.",
    discussion:
      "Exit status:\n"
      + Exit.allCases.map { "  \($0.rawValue)  \($0.meaning)\n" }.joined()
      + "The manual page memxctl(8) has examples.",
    subcommands: [
      Attach.self, Detach.self, Status.self, Stats.self, Migrate.self, Receive.self,
    ])
}

/// What every subcommand has.
struct Output: ParsableArguments {
  @Flag(help: "Print one JSON object a line, failures included.")
  var json = false

  /// Runs `body`; a ``Failure`` is printed for people on standard error, for scripts also as an
  /// object on standard output, and becomes the exit status.
  func report(_ body: () throws(Failure) -> Void) throws {
    do {
      try body()
    } catch {
      printLine("memxctl: \(error.message)", to: 2)
      if json {
        var object = JSONLine()
        object.add("error", error.message)
        if let name = error.errno { object.add("errno", name) } else { object.addNull("errno") }
        object.add("exit", error.exit.rawValue)
        printLine(object.line)
      }
      throw ExitCode(error.exit.rawValue)
    }
  }
}

extension DeviceName: ExpressibleByArgument {
  /// The device that `argument` names; nil makes the parser say that it names none.
  public init?(argument: String) {
    guard let device = try? DeviceName(parsing: argument) else { return nil }
    self = device
  }

  /// What a shell offers: the device nodes that are there.
  public static var defaultCompletionKind: CompletionKind {
    .shellCommand("ls -d /dev/memx* 2>/dev/null")
  }
}
