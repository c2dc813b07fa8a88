// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import Glibc
import SystemPackage

/// A memxd which runs in a namespace.
public final class Server: Sendable {
  /// How it is started.
  public struct Options: Sendable {
    /// Each `NAME:SIZE` and what `--region` takes beside.
    public var regions = ["swap:1G"]
    /// The bound on page memory, as `--memory` takes it.
    public var memory = "1G"
    /// The directory of an arena which outlives the server, or nil for anonymous memory.
    public var arena: FilePath?
    /// Further command-line words.
    public var words: [String] = []

    public init() {}
  }

  /// What a scenario reads of the JSON status.
  public struct Status: Decodable, Sendable {
    /// One region's counters.
    public struct Region: Decodable, Sendable {
      public let name: String
      public let slots: Int
      public let stored_pages: Int
    }
    public let schema: Int
    public let memory_bytes: Int
    public let stored_bytes: Int
    public let regions: [Region]
  }

  static let address = "127.0.0.1:9109"

  private let child: Child
  private let namespace: Namespace
  private let log: FilePath

  private init(child: Child, namespace: Namespace, log: FilePath) {
    self.child = child
    self.namespace = namespace
    self.log = log
  }

  /// Starts memxd on a link of the namespace and waits until it is ready.
  ///
  /// - Throws: ``LabError`` with the end of its log when it does not get ready.
  public static func start(
    _ options: Options = Options(), link: String = "tap0", in namespace: Namespace,
    directory: FilePath
  ) async throws -> Server {
    let log = directory.appending("memxd.log")
    let socket = try NotifySocket(directory.appending("notify"))
    var words = ["--link", link, "--memory", options.memory]
    for region in options.regions { words += ["--region", region] }
    if let arena = options.arena { words += ["--arena", arena.string] }
    let child = try await Child.start(
      "memxd",
      namespace.command(
        ["env", "NOTIFY_SOCKET=\(socket.path)", try Repository.product("memxd").string] + words
          + ["--http", address] + options.words), log: log)
    let server = Server(child: child, namespace: namespace, log: log)
    guard await socket.ready(within: 30, givenUp: { !child.isRunning }) else {
      await child.stop()
      let end = ((try? Files.readText(log)) ?? "").split(separator: "\n").suffix(10)
      throw LabError("memxd did not get ready:\n\(end.joined(separator: "\n"))")
    }
    return server
  }

  /// The JSON status, as served.
  public func statusText() async throws -> String {
    try await Command.run(
      namespace.command(["curl", "-sS", "--max-time", "10", "http://\(Self.address)/status"]))
  }

  /// The JSON status.
  public func status() async throws -> Status {
    let text = try await statusText()
    do {
      return try JSONDecoder().decode(Status.self, from: Data(text.utf8))
    } catch {
      throw LabError("memxd's status cannot be read: \(error): \(text)")
    }
  }

  /// Everything it has logged.
  public func logText() throws -> String { try Files.readText(log) }

  /// Stops it where it is, so that nothing is answered.
  public func suspend() { child.send(SIGSTOP) }

  /// Lets it go on after ``suspend()``.
  public func resume() { child.send(SIGCONT) }

  /// Ends it in order.
  ///
  /// - Throws: ``LabError`` when it does not end with exit code 0.
  public func stop() async throws {
    let code = await child.stop(grace: .seconds(10))
    guard code == 0 else { throw LabError("memxd ended with \(code) after SIGTERM") }
  }

  /// Kills it, as a power cut would.
  public func kill() async {
    child.send(SIGKILL)
    _ = try? await child.exited(within: .seconds(10))
  }
}
