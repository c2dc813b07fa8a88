// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// A running virtual machine of QEMU's.
public final class Guest: Shell {
  /// How a command in the guest ended, and what it printed.
  public struct Outcome: Sendable {
    public let code: Int
    public let output: String

    /// Whether it ended with exit code 0.
    public var succeeded: Bool { code == 0 }
    /// The output without white space at its ends.
    public var text: String {
      let body = output.drop(while: \.isWhitespace)
      return String(body.reversed().drop(while: \.isWhitespace).reversed())
    }
  }

  /// Where a command's memory is charged.
  public enum Group: String, Sendable {
    /// Never swapped: the commands a scenario steers with.
    case agent
    /// Swapped like any program: what a scenario is about.
    case work

    /// The control group's files in the guest.
    var directory: String { "/sys/fs/cgroup/\(rawValue)" }
  }

  public let agent: AgentLine
  private let directory: FilePath

  /// The kernel release that the guest reported.
  public var release: String { agent.release }

  private init(agent: AgentLine, directory: FilePath) {
    self.agent = agent
    self.directory = directory
  }

  /// Boots a machine and waits until it takes commands.
  ///
  /// - Parameters:
  ///   - name: names it in messages.
  ///   - patience: how long a command may take for which nothing else is said.
  /// - Throws: ``LabError`` with the end of the console when it does not get there in time.
  static func boot(
    _ argv: [String], name: String = "the guest", directory: FilePath,
    patience: Duration = .seconds(60), timeout: Duration
  ) async throws -> Guest {
    try Files.makeDirectory(directory)
    try await Command.run([
      "mkfifo", directory.appending("monitor.in").string, directory.appending("monitor.out").string,
    ])
    do {
      return Guest(
        agent: try await AgentLine.start(
          name, argv, log: directory.appending("qemu.log"), patience: patience, timeout: timeout),
        directory: directory)
    } catch {
      let console = (try? Files.readText(directory.appending("console.log"))) ?? ""
      let qemu = (try? Files.readText(directory.appending("qemu.log"))) ?? ""
      throw LabError("\(error); its console ended with:\n" + KernelLog.end(of: console + qemu))
    }
  }

  /// Plugs the network cable in or pulls it out, as the guest's card sees it.
  private func setCarrier(_ on: Bool) throws {
    let path = directory.appending("monitor.in")
    let monitor = try FileDescriptor.open(path, .writeOnly)
    _ = try monitor.closeAfter { try monitor.writeAll("set_link nic0 \(on ? "on" : "off")\n".utf8) }
  }

  /// Pulls the network cable out for so long. How long is what a scenario is about, so there is nothing to wait for.
  func pullCable(for outage: Duration) async throws {
    try setCarrier(false)
    try await Task.sleep(for: outage)
    try setCarrier(true)
  }

  /// Ends the guest in order.
  ///
  /// - Throws: ``LabError`` when it does not power off in time.
  public func shutdown(timeout: Duration = .seconds(60)) async throws {
    try await agent.end(timeout: timeout)
  }

  /// Ends the guest at once.
  public func kill() async { await agent.kill() }
}
