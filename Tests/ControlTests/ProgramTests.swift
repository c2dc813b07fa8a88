// SPDX-License-Identifier: Apache-2.0
import Subprocess
import SystemPackage
import Testing

@testable import Control

/// The program as a script runs it: exit status, standard output, standard error.
@Suite struct Program {
  /// The program beside the tests, in the build directory.
  private func memxctl(
    _ arguments: [String], _ tree: MadeUpTree
  ) async throws -> (status: Int32, out: String, err: String) {
    let tests = try #require(
      CommandLine.arguments.first.map { FilePath($0).removingLastComponent() })
    let result = try await run(
      .path(tests.appending("memxctl")), arguments: Arguments(arguments),
      environment: .inherit.updating([
        "MEMX_SYSFS": tree.files.sysfs, "MEMX_PROC": tree.files.proc,
      ]),
      output: .string(limit: 1 << 16), error: .string(limit: 1 << 16))
    guard case .exited(let status) = result.terminationStatus else {
      Issue.record("memxctl was ended by a signal")
      return (-1, "", "")
    }
    return (status, result.standardOutput, result.standardError)
  }

  @Test func attachPrintsTheDevice() async throws {
    let tree = try MadeUpTree()
    try tree.attach(0)
    let result = try await memxctl(["attach", "--link", "eth0", "--region", "swap0"], tree)
    #expect(result.status == 0)
    #expect(result.out == "/dev/memx0\n")
  }

  @Test func tokenComesFromAFile() async throws {
    let tree = try MadeUpTree()
    try tree.attach(0)
    try tree.put("token", "s3cret\nanother line\n")
    let result = try await memxctl(
      ["attach", "--link", "eth0", "--region", "swap0", "--token-file", tree.root + "/token"], tree)
    #expect(result.status == 0)
    #expect(try tree.text("sys/class/memx/attach").contains(" token=s3cret\n"))
  }

  @Test(arguments: [
    ["attach"], ["attach", "--link", "eth0", "--region", "a b"],
    ["attach", "--link", "eth0", "--region", "a", "--size", "1000"],
    ["attach", "--link", "eth0", "--region", "a", "--size", "0"],
    ["attach", "--link", "eth0", "--region", "a", "--mtu", "1000"],
    ["attach", "--link", "eth0", "--region", "a", "--timeout", "0"],
    ["attach", "--link", "eth0", "--region", "a", "--priority", "3"],
    ["attach", "--link", "eth0", "--region", "a", "--token", "t", "--token-file", "f"],
    ["attach", "--link", "eth0", "--region", "a", "--pseudo"],
    ["attach", "--link", "eth0", "--pseudo", "--token", "t"],
    ["attach", "--link", "eth0", "--region", "a", "--swap", "--keep-aging"],
    ["attach", "--link", "eth0", "--region", "a", "--swap", "--keep-readahead"],
    ["attach", "--link", "eth0", "--pseudo", "--keep-readahead"],
    ["migrate"], ["migrate", "guest"], ["migrate", "guest", "host", "--prepare-limit", "0"],
    ["detach"], ["detach", "sda"], ["stats", "--count", "3"],
    ["stats", "--watch", "--interval", "0"],
    ["nonsense"],
  ])
  func wrongCommandLines(arguments: [String]) async throws {
    let tree = try MadeUpTree()
    let result = try await memxctl(arguments, tree)
    #expect(result.status == Exit.usage.rawValue)
    #expect(result.err.hasPrefix("Error: "))
    #expect(try tree.text("sys/class/memx/attach") == "")
  }

  @Test func noDevice() async throws {
    let tree = try MadeUpTree()
    for command in ["status", "stats", "detach"] {
      let result = try await memxctl([command, "memx7", "--json"], tree)
      #expect(result.status == Exit.notThere.rawValue)
      #expect(
        result.out
          == #"{"schema":1,"error":"memx7 is not attached; no device is","errno":null,"exit":2}"#
          + "\n")
      #expect(result.err == "memxctl: memx7 is not attached; no device is\n")
    }
  }

  @Test func nothingAttachedIsNoFailure() async throws {
    let tree = try MadeUpTree()
    let result = try await memxctl(["status"], tree)
    #expect(result.status == 0)
    #expect(result.out == "")
    #expect(result.err.hasPrefix("No device is attached"))
  }

  @Test func watchPrintsOneLineAnInterval() async throws {
    let tree = try MadeUpTree()
    try tree.attach(0)
    let result = try await memxctl(["stats", "--watch", "--interval", "0.1", "--count", "2"], tree)
    #expect(result.status == 0)
    #expect(result.out.split(separator: "\n").count == 3)
  }

  @Test func exitStatusesAreWhatTheManualSays() {
    #expect(Exit.allCases.map(\.rawValue) == [0, 1, 2, 3, 4, 64])
  }
}
