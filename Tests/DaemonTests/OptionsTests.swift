// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Daemon
import Foundation
import TestSupport
import Testing

/// The command line, as people and scripts meet it.
@Suite struct OptionsTests {
  private func settings(_ words: String) throws -> Settings {
    try Settings(options: try Memxd.parse(words.split(separator: " ").map(String.init)))
  }

  @Test func optionsOverrideTheFileAndTheFileTheDefaults() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/m.json5"
    try Data(
      """
      { links: ["eth1"], regions: [{ name: "a", size: "1G" }], memory: "1G", lock: true,
        busy_poll_us: 7, xen: true, http: "127.0.0.1:1", log_level: "debug", hugepages: "never" }
      """.utf8
    ).write(to: URL(fileURLWithPath: path))
    let file = try settings("--config \(path)")
    #expect(file.server.links == ["eth1"])
    #expect(file.server.memoryBytes == 1 << 30)
    #expect(file.server.memory.lock && !file.server.memory.hugePages)
    #expect(file.server.busyPoll_us == 7)
    #expect(file.server.ringFrames == 4096)
    #expect(file.xen && file.server.foreignRegions == 16)
    #expect(file.http == .ipv4("127.0.0.1", port: 1))
    #expect(file.logLevel == .debug && file.logFormat == .text)
    let both = try settings(
      "--config \(path) --link eth2 --link eth3 --region b:2M --memory 2M --no-lock --hugepages auto"
        + " --busy-poll-us 9 --http off --log-level error --log-format json --max-sessions 3"
        + " --session-timeout-ms 2000 --ring-frames 128 --arena /x --no-xen")
    #expect(both.server.links == ["eth2", "eth3"])
    #expect(both.server.regions.map(\.name.description) == ["b"])
    #expect(both.server.memoryBytes == 2 << 20)
    #expect(!both.server.memory.lock && both.server.memory.hugePages)
    #expect(both.server.busyPoll_us == 9)
    #expect(both.server.maxSessions == 3)
    #expect(both.server.sessionTimeout_ms == 2000)
    #expect(both.server.ringFrames == 128)
    #expect(!both.xen && both.server.foreignRegions == 0)
    #expect(both.server.arenaDirectory == "/x")
    #expect(both.http == .off)
    #expect(both.logLevel == .error && both.logFormat == .json)
  }

  @Test(arguments: [
    (
      "--memory 9X",
      "'9X' is invalid for '--memory <size>': memory: '9X' is no size; give bytes"
    ),
    ("--region a", "region 'a': write NAME:SIZE"),
    ("--busy-poll-us x", "busy poll: 0 to 1000000 are allowed"),
    ("--busy-poll-us=-1", "busy poll: 0 to 1000000 are allowed"),
    ("--max-sessions 0", "max sessions: 1 to 4096 are allowed"),
    ("--ring-frames 1", "ring frames: 64 to 65536 are allowed"),
    ("--session-timeout-ms 1", "session timeout: 1000 to 86400000 are allowed"),
    ("--http 1.2.3.4:80", "'1.2.3.4' is not a loopback address"),
    ("--log-level loud", "'loud' is invalid for '--log-level <level>'"),
    ("--log-format xml", "'xml' is invalid for '--log-format <format>'"),
    ("--hugepages yes", "'yes' is invalid for '--hugepages <when>'"),
    ("--links eth0", "Unknown option '--links'"),
  ])
  func saysWhatIsWrong(words: String, expected: String) {
    do {
      _ = try settings(words)
      Issue.record("'\(words)' was taken")
    } catch {
      #expect(Memxd.exitCode(for: error).rawValue == 64)
      let message = Memxd.fullMessage(for: error)
      #expect(message.contains(expected), "it says: \(message)")
    }
  }

  @Test func exitCodesTellWhoIsAtFault() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/m.json5"
    try Data("{ links: ['eth1'], memory: '1G' }".utf8).write(to: URL(fileURLWithPath: path))
    let region = "--region a:1M"
    for (words, status, text) in [
      ("--help", Int32(0), "USAGE: memxd"),
      ("--memory 1X", 64, "is no size"),
      ("--link x --memory 1M", 64, "memxd: no region: name one, with --region NAME:SIZE"),
      ("--config \(path)", 78, "memxd: no region"),
      ("--link x --xen --check", 0, "links x; regions Xen guests';"),
      ("--link lo --xen", 1, "memxd: cannot "),
      (
        "--config \(path) \(region) --check", 0,
        "memxd: the configuration is valid: links eth1; regions a"
      ),
      (
        "--config /no/such \(region)", 78,
        "memxd: cannot read the configuration /no/such: No such file"
      ),
      ("--link nosuch0 \(region) --memory 1M", 1, "memxd: link nosuch0: cannot find the interface"),
    ] {
      let result = try output(MemxdProcess.path(), words.split(separator: " ").map(String.init))
      #expect(result.status == status, "\(words): \(result.text)")
      #expect(result.text.contains(text), "\(words): \(result.text)")
    }
  }

  @Test func helpIsGroupedAndTellsDefaults() {
    let help = Memxd.helpMessage(columns: 200)
    for title in ["WHAT TO SERVE:", "MEMORY:", "LIMITS AND TUNING:", "OPERATION:"] {
      #expect(help.contains(title))
    }
    for text in ["default: 30000", "default: 50", "default: 64", "default: 4096", "default: off"] {
      #expect(help.contains(text), "\(text)")
    }
  }
}

/// Runs a program to its end.
func output(
  _ path: String, _ arguments: [String], environment: [String: String]? = nil
) throws -> (status: Int32, text: String) {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: path)
  process.arguments = arguments
  if let environment { process.environment = environment }
  let pipe = Pipe()
  process.standardOutput = pipe
  process.standardError = pipe
  try process.run()
  let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  process.waitUntilExit()
  return (process.terminationStatus, text)
}
