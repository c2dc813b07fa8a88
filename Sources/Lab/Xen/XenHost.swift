// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// A running Xen host. Its commands run in dom0.
public final class XenHost: Shell {
  public let machine: XenMachine
  private let dom0: Guest

  public var agent: AgentLine { dom0.agent }

  private init(machine: XenMachine, dom0: Guest) {
    self.machine = machine
    self.dom0 = dom0
  }

  /// Boots a host and waits until dom0 takes commands.
  ///
  /// - Throws: ``LabError`` with the end of its console when it does not get there in time.
  static func boot(
    _ machine: XenMachine, _ parts: XenParts, in namespace: Namespace, directory: FilePath
  ) async throws -> XenHost {
    XenHost(
      machine: machine,
      dom0: try await Guest.boot(
        namespace.command(machine.commandLine(parts, directory: directory)),
        name: "dom0 of \(machine.name)", directory: directory,
        patience: XenMachine.patience, timeout: .seconds(300)))
  }

  /// The domains of guests there: those that run, and remains of those that moved away.
  func guests() async throws -> [String] {
    try await run("xenstore-list /local/domain").split(separator: "\n").map(String.init)
      .filter { $0 != "0" }
  }

  /// Memory that no domain has, in MiB.
  func free_mib() async throws -> Int {
    let text = try await run("xl info free_memory")
    guard let free = Int(text) else {
      throw LabError("‘xl info free_memory’ says ‘\(text)’, which is no number")
    }
    return free
  }

  /// Runs a command of dom0 for each connection to a port, with the connection as its input and output.
  ///
  /// - Parameter log: where what it says on standard error goes.
  func serve(_ port: Int, _ command: String, log: String) async throws {
    let listens = "netstat -ltn | grep -q ':\(port) '"
    try await run(
      """
      \(listens) || wire serve \(port) \(command) > /dev/null 2>> \(log) &
      until \(listens); do usleep 50000; done
      """)
  }

  /// The console of a guest, as far as it was on this host.
  func console(of domain: String) async throws -> String {
    try await run("cat \(Dom0.consoles)/guest-\(domain).log")
  }

  /// The consoles of all guests, as far as they were on this host.
  func consoles() async throws -> String {
    try await run(
      "for log in \(Dom0.consoles)/*; do echo \"== $log\"; cat $log; done", timeout: .seconds(20))
  }

  /// The state of the tools, and what dom0's kernel has said.
  func state() async throws -> String {
    try await run("xl list; xenstore-ls -f; dmesg", timeout: .seconds(20))
  }

  func kill() async { await dom0.kill() }
}
