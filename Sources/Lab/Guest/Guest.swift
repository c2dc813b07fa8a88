// SPDX-License-Identifier: Apache-2.0
import Glibc
import Subprocess
import SystemPackage

/// A running guest.
public final class Guest: Sendable {
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
  }

  /// The kernel release that the guest reported.
  public let release: String
  private let child: Child
  private let link: GuestLink
  private let directory: FilePath

  private init(child: Child, link: GuestLink, release: String, directory: FilePath) {
    self.child = child
    self.link = link
    self.release = release
    self.directory = directory
  }

  /// Boots a machine and waits until it takes commands.
  ///
  /// - Throws: ``LabError`` with the end of the console when it does not get there in time.
  static func boot(
    _ argv: [String], directory: FilePath, timeout: Duration
  ) async throws -> Guest {
    try Files.makeDirectory(directory)
    try await Command.run([
      "mkfifo", directory.appending("monitor.in").string, directory.appending("monitor.out").string,
    ])
    let link = GuestLink()
    let child = try await Child.start(
      "the guest", argv, log: directory.appending("qemu.log"), line: { await link.receive($0) },
      ended: { await link.close() })
    await link.open(child.input)
    do {
      let release = try await within(timeout, "the guest to boot") { try await link.untilReady() }
      return Guest(child: child, link: link, release: release, directory: directory)
    } catch {
      await child.stop()
      let console = (try? Files.readText(directory.appending("console.log"))) ?? ""
      let qemu = (try? Files.readText(directory.appending("qemu.log"))) ?? ""
      throw LabError(
        "\(error); its console ended with:\n"
          + (console + qemu).split(separator: "\n").suffix(15).joined(separator: "\n"))
    }
  }

  /// Runs a shell script to its end, whatever its exit code.
  ///
  /// - Throws: ``LabError`` when it does not end in time or the guest ends.
  public func outcome(
    _ script: String, in group: Group = .agent, timeout: Duration = .seconds(60)
  ) async throws -> Outcome {
    let link = link
    let title = script.split(separator: "\n").first.map(String.init) ?? ""
    let reply = try await within(timeout, "‘\(title)’ in the guest") {
      try await link.run(script, group: group.rawValue)
    }
    return Outcome(code: reply.code, output: reply.output)
  }

  /// Runs a shell script which must succeed.
  ///
  /// - Returns: what it printed, without white space at the ends.
  @discardableResult
  public func run(
    _ script: String, in group: Group = .agent, timeout: Duration = .seconds(60)
  ) async throws -> String {
    let outcome = try await outcome(script, in: group, timeout: timeout)
    guard outcome.succeeded else {
      throw LabError("‘\(script)’ in the guest ended with \(outcome.code): \(outcome.text)")
    }
    return outcome.text
  }

  /// Waits until a condition, a shell command, holds in the guest.
  public func until(_ condition: String, timeout: Duration = .seconds(60)) async throws {
    try await run("until \(condition); do usleep 50000; done", timeout: timeout)
  }

  /// Plugs the network cable in or pulls it out, as the guest's card sees it.
  public func setCarrier(_ on: Bool) throws {
    let path = directory.appending("monitor.in")
    let monitor = try FileDescriptor.open(path, .writeOnly)
    _ = try monitor.closeAfter { try monitor.writeAll("set_link nic0 \(on ? "on" : "off")\n".utf8) }
  }

  /// All kernel messages up to now.
  public func kernelLog() async throws -> String { try await run("dmesg") }

  /// Ends the guest in order.
  ///
  /// - Throws: ``LabError`` when it does not power off in time.
  public func shutdown(timeout: Duration = .seconds(60)) async throws {
    try await link.end()
    let code = try await child.exited(within: timeout)
    guard code == 0 else { throw LabError("QEMU ended with \(code)") }
  }

  /// Ends the guest at once.
  public func kill() async {
    child.send(SIGKILL)
    _ = try? await child.exited(within: .seconds(10))
  }
}

extension Guest {
  /// Brings the network card up and waits for its carrier.
  public func linkUp() async throws {
    try await run("ip link set eth0 up")
    try await until("[ \"$(cat /sys/class/net/eth0/carrier 2>/dev/null)\" = 1 ]")
  }
}
