// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Telemetry

/// A real memxd in a network namespace; killed with this object when it still runs.
package final class MemxdProcess {
  /// Port of its HTTP server, on 127.0.0.1 in its namespace.
  package static let port: UInt16 = 9400

  private let process = Process()
  private let network: TestNetwork
  private let output: FileHandle
  private let outputPath: String

  /// Starts it and waits until it is ready.
  ///
  /// - Parameters:
  ///   - network: its server side is served.
  ///   - options: besides `--link` and `--http`.
  package init(_ network: TestNetwork, _ options: [String]) throws {
    self.network = network
    outputPath = NSTemporaryDirectory() + "memxd-test-\(UUID().uuidString).log"
    guard FileManager.default.createFile(atPath: outputPath, contents: nil),
      let output = FileHandle(forWritingAtPath: outputPath)
    else { throw TestFailure("cannot make \(outputPath)") }
    self.output = output
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments =
      [
        "ip", "netns", "exec", network.server, try Self.path(), "--link", network.serverLink,
        "--http", "127.0.0.1:\(Self.port)", "--log-level", "debug",
      ] + options
    process.standardError = output
    process.standardOutput = output
    try process.run()
    _ = try wait(for: "ready") { $0.schema == 1 }
  }

  deinit {
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
    unlink(outputPath)
  }

  /// The executable beside the tests'.
  package static func path() throws -> String {
    let directory = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
      .deletingLastPathComponent().path
    for place in [directory, directory + "/.."] where access("\(place)/memxd", X_OK) == 0 {
      return "\(place)/memxd"
    }
    throw TestFailure("no memxd beside \(directory); build it: swift build")
  }

  /// Everything that it has written.
  package var log: String {
    (try? String(contentsOfFile: outputPath, encoding: .utf8)) ?? ""
  }

  package var pid: Int32 { process.processIdentifier }

  package func signal(_ number: Int32) { kill(process.processIdentifier, number) }

  /// Waits for its end.
  ///
  /// - Returns: the exit status, or minus the signal that ended it.
  package func waitForEnd() -> Int32 {
    process.waitUntilExit()
    return process.terminationReason == .exit
      ? process.terminationStatus : -process.terminationStatus
  }

  /// Asks for a path over HTTP.
  package func get(_ path: String) throws -> HTTPAnswer {
    let port = Self.port
    return try inNamespace(network.server) { try HTTPAnswer(port: port, path: path) }
  }

  package func status() throws -> ServerStatus {
    try JSONDecoder().decode(ServerStatus.self, from: Data(get("/status").body.utf8))
  }

  /// Asks for the status until it is as wanted; fails after 10 seconds.
  package func wait(
    for what: String, _ isWanted: (ServerStatus) -> Bool
  ) throws -> ServerStatus {
    let end = Date(timeIntervalSinceNow: 10)
    while Date.now < end {
      if let status = try? status(), isWanted(status) { return status }
      guard process.isRunning else { throw TestFailure("memxd has ended: \(log)") }
      usleep(20_000)
    }
    throw TestFailure("memxd: waited in vain for: \(what); it says: \(log)")
  }
}
