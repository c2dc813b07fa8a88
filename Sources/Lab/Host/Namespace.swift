// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import SystemPackage

/// A network namespace with what hangs in it; gone when the scope that made it ends.
public struct Namespace: Sendable {
  private static let prefix = "memxlab-"
  private static let count = Atomic<Int>(0)

  /// Its name, unique to this process and use.
  public let name: String

  /// Runs `body` with a new namespace and removes it afterwards, whatever happens.
  ///
  /// - Throws: ``LabError`` without the right to make one, otherwise what `body` throws.
  public static func with<R: Sendable>(
    _ body: @Sendable (Namespace) async throws -> R
  ) async throws -> R {
    guard geteuid() == 0 else {
      throw LabError("network namespaces need root", remedy: "run it with sudo")
    }
    try await removeLeftovers()
    let number = count.wrappingAdd(1, ordering: .relaxed).newValue
    let namespace = Namespace(name: "\(prefix)\(getpid())-\(number)")
    try await Command.run(["ip", "netns", "add", namespace.name])
    let result: Result<R, any Error>
    do {
      try await namespace.ip("link", "set", "lo", "up")
      result = .success(try await body(namespace))
    } catch {
      result = .failure(error)
    }
    // In a task of its own: it must run even when this one has been cancelled.
    try await Task.detached { try await namespace.remove() }.value
    return try result.get()
  }

  /// Removes what runs that did not end well have left behind.
  public static func removeLeftovers() async throws {
    for name in Files.names(in: "/run/netns") where name.hasPrefix(prefix) {
      let words = name.dropFirst(prefix.count).split(separator: "-")
      guard let owner = words.first.flatMap({ Int32($0) }), kill(owner, 0) != 0, errno == ESRCH
      else { continue }
      try await Namespace(name: name).remove()
    }
  }

  /// Where files of the namespace that are to be in memory go; removed with it.
  private static var memory: FilePath { "/dev/shm" }

  /// A directory in memory which is removed with the namespace.
  ///
  /// - Throws: ``LabError`` when it cannot be made.
  public func memoryDirectory() throws -> FilePath {
    let path = Self.memory.appending(name)
    try Files.makeDirectory(path)
    return path
  }

  /// The command line which runs `argv` in the namespace.
  public func command(_ argv: [String]) -> [String] {
    ["ip", "netns", "exec", name] + argv
  }

  /// Runs `ip` in the namespace.
  public func ip(_ arguments: String...) async throws {
    try await Command.run(["ip", "-n", name] + arguments)
  }

  /// Makes a tap for one guest's network card, up.
  ///
  /// - Parameter mtu: bytes of payload in a frame.
  public func addTap(_ tap: String, mtu: Int) async throws {
    try await Command.run(command(["ip", "tuntap", "add", tap, "mode", "tap"]))
    try await ip("link", "set", tap, "mtu", "\(mtu)", "up")
  }

  /// Joins devices of the namespace to one segment.
  public func addBridge(_ bridge: String, joining devices: [String], mtu: Int) async throws {
    try await ip("link", "add", bridge, "mtu", "\(mtu)", "type", "bridge")
    for device in devices { try await ip("link", "set", device, "master", bridge) }
    try await ip("link", "set", bridge, "up")
  }

  /// The Ethernet address of a device in the namespace, in lower case.
  public func address(of device: String) async throws -> String {
    try await Command.run(command(["cat", "/sys/class/net/\(device)/address"]))
  }

  private func remove() async throws {
    let pids = try await Command.run(["ip", "netns", "pids", name])
    for pid in pids.split(separator: "\n").compactMap({ Int32($0) }) { _ = kill(pid, SIGKILL) }
    try await Command.run(["rm", "-rf", "\(Self.memory.appending(name))"])
    try await Command.run(["ip", "netns", "del", name])
  }
}
