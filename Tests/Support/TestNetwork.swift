// SPDX-License-Identifier: Apache-2.0
import CTestSupport
import Foundation
import Glibc

/// Why a test cannot be carried out here.
package struct TestFailure: Error, CustomStringConvertible {
  package let description: String
  package init(_ description: String) { self.description = description }
}

/// Two network namespaces joined by a veth pair; gone with this object.
package final class TestNetwork: Sendable {
  package let server: String
  package let client: String
  /// The interface in the server's namespace.
  package let serverLink = "eth0"
  /// The interface in the client's namespace.
  package let clientLink = "eth0"
  package let mtu: Int

  private static let number = Counter()

  /// - Parameters:
  ///   - mtu: of both interfaces.
  ///   - isJoined: whether there is a veth pair; else something else, such as ``BadWire``, joins the two.
  package init(mtu: Int, isJoined: Bool = true) throws {
    guard geteuid() == 0 else {
      throw TestFailure("this test makes network namespaces and has to run as root")
    }
    let name = "md\(getpid())x\(Self.number.next())"
    server = name + "s"
    client = name + "c"
    self.mtu = mtu
    try run("ip", "netns", "add", server)
    try run("ip", "netns", "add", client)
    try run("ip", "-n", server, "link", "set", "lo", "up")
    if isJoined { try connect() }
  }

  deinit {
    try? run("ip", "netns", "del", client)
    try? run("ip", "netns", "del", server)
  }

  /// Makes the veth pair, and brings it up.
  package func connect() throws {
    try run(
      "ip", "link", "add", serverLink, "netns", server, "mtu", "\(mtu)", "type", "veth", "peer",
      "name", clientLink, "netns", client, "mtu", "\(mtu)")
    try setClientLink(up: true)
    try setServerLink(up: true)
  }

  /// Makes another veth pair, of the same name on both sides.
  package func addLink(_ name: String) throws {
    try run(
      "ip", "link", "add", name, "netns", server, "mtu", "\(mtu)", "type", "veth", "peer", "name",
      name, "netns", client, "mtu", "\(mtu)")
    try run("ip", "-n", client, "link", "set", name, "up")
    try run("ip", "-n", server, "link", "set", name, "up")
  }

  /// Removes the veth pair.
  package func disconnect() throws { try run("ip", "-n", server, "link", "del", serverLink) }

  package func setServerLink(up: Bool) throws {
    try run("ip", "-n", server, "link", "set", serverLink, up ? "up" : "down")
  }

  package func setServerLink(mtu: Int) throws {
    try run("ip", "-n", server, "link", "set", serverLink, "mtu", "\(mtu)")
  }

  private func setClientLink(up: Bool) throws {
    try run("ip", "-n", client, "link", "set", clientLink, up ? "up" : "down")
  }
}

/// Runs a command to its end.
package func run(_ words: String...) throws {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
  process.arguments = words
  let errors = Pipe()
  process.standardError = errors
  try process.run()
  let text = errors.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  guard process.terminationStatus == 0 else {
    throw TestFailure(
      "\(words.joined(separator: " ")): \(String(decoding: text, as: UTF8.self))"
        + " (the tests need root and the package iproute2)")
  }
}

/// Runs `body` in a thread of its own that is in a network namespace; sockets and threads made there
/// stay in it.
package func inNamespace<T: Sendable>(
  _ name: String, _ body: @escaping @Sendable () throws -> T
) throws -> T {
  let outcome = Box<Result<T, any Error>>()
  let done = DispatchSemaphore(value: 0)
  let thread = Thread {
    outcome.value = Result {
      let descriptor = open("/var/run/netns/\(name)", O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else { throw TestFailure("no network namespace \(name)") }
      defer { close(descriptor) }
      let code = test_enter_network_namespace(descriptor)
      guard code == 0 else { throw TestFailure("cannot enter \(name): \(code)") }
      return try body()
    }
    done.signal()
  }
  thread.stackSize = 1 << 20
  thread.start()
  done.wait()
  return try outcome.value!.get()
}

private final class Box<T>: @unchecked Sendable {
  // Invariant behind @unchecked: written before a semaphore is signalled, read after it was waited for.
  var value: T?
}

package final class Counter: @unchecked Sendable {
  // Invariant behind @unchecked: `value` is touched only with `lock` held.
  private let lock = NSLock()
  private var value = 0
  package init() {}
  package func next() -> Int {
    lock.withLock {
      value += 1
      return value
    }
  }
}
