// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage

/// The line to the agent of one machine: a child process whose standard input and output lead there,
/// be it the machine's QEMU itself or a program that is connected to the agent.
public final class AgentLine: Sendable {
  /// Names the machine in messages.
  public let name: String
  /// How long a command may take for which nothing else is said.
  let patience: Duration
  /// The kernel release that the machine reported.
  let release: String
  private let child: Child
  private let link: GuestLink

  private init(
    name: String, patience: Duration, release: String, child: Child, link: GuestLink
  ) {
    self.name = name
    self.patience = patience
    self.release = release
    self.child = child
    self.link = link
  }

  /// Starts the child and waits until the agent takes commands.
  ///
  /// - Throws: ``LabError`` when it does not get there in time.
  static func start(
    _ name: String, _ argv: [String], log: FilePath, patience: Duration, timeout: Duration
  ) async throws -> AgentLine {
    let link = GuestLink(name: name)
    let child = try await Child.start(
      name, argv, log: log, line: { await link.receive($0) }, ended: { await link.close() })
    await link.open(child.input)
    do {
      let release = try await within(timeout, "\(name) to boot") { try await link.untilReady() }
      return AgentLine(
        name: name, patience: patience, release: release, child: child, link: link)
    } catch {
      await child.stop()
      throw error
    }
  }

  /// Runs a shell script to its end.
  func outcome(
    _ script: String, in group: Guest.Group, timeout: Duration?
  ) async throws -> Guest.Outcome {
    let link = link
    let title = script.split(separator: "\n").first.map(String.init) ?? ""
    let reply = try await within(timeout ?? patience, "‘\(title)’ in \(name)") {
      try await link.run(script, group: group.rawValue)
    }
    return Guest.Outcome(code: reply.code, output: reply.output)
  }

  /// Tells the agent to end, and waits until the child has ended.
  ///
  /// - Throws: ``LabError`` when it does not end in time, or not with exit code 0.
  func end(timeout: Duration) async throws {
    try await link.end()
    let code = try await child.exited(within: timeout)
    guard code == 0 else { throw LabError("\(child.name) ended with \(code)") }
  }

  /// Ends the child at once.
  func kill() async {
    child.send(SIGKILL)
    _ = try? await child.exited(within: .seconds(10))
  }
}
