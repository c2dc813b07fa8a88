// SPDX-License-Identifier: Apache-2.0
import Daemon
import Foundation
import TestSupport
import Testing

@Suite struct ConfigurationFileTests {
  private func read(_ text: String) throws -> ConfigurationFile {
    try ConfigurationFile(Data(text.utf8), file: "m.json5")
  }

  private func message(_ text: String) -> String {
    do {
      _ = try read(text)
      return "no error"
    } catch { return "\(error)" }
  }

  @Test func readsEveryKey() throws {
    let file = try read(
      """
      // A comment.
      {
        links: ["eth1", 'eth2'],
        regions: [
          { name: "a", size: "4G", quota: "1G", token: "secret", clients: ["02:00:00:00:00:01"] },
          { name: "b", size: 1048576, },
        ],
        xen: true, memory: "8G", arena: "/dev/shm/memx", hugepages: "never", lock: true,
        http: "[::1]:9400", log_level: "debug", log_format: "json",
        session_timeout_ms: 5000, busy_poll_us: 0, max_sessions: 8, ring_frames: 1024,
      }
      """)
    #expect(file.links == ["eth1", "eth2"])
    let regions = try #require(file.regions)
    #expect(regions.map(\.name.description) == ["a", "b"])
    #expect(regions[0].quota == 262144)
    #expect(regions[0].token != nil && regions[1].token == nil)
    #expect(regions[0].clients.map(\.description) == ["02:00:00:00:00:01"])
    #expect(regions[1].slots == 256 && regions[1].quota == 256)
    #expect(file.xen == true)
    #expect(file.memory == 8 << 30)
    #expect(file.arena == "/dev/shm/memx")
    #expect(file.hugepages == .never)
    #expect(file.lock == true)
    #expect(file.http == .ipv6("::1", port: 9400))
    #expect(file.logLevel == .debug)
    #expect(file.logFormat == .json)
    #expect(file.sessionTimeout_ms == 5000)
    #expect(file.busyPoll_us == 0)
    #expect(file.maxSessions == 8)
    #expect(file.ringFrames == 1024)
  }

  @Test func anEmptyFileLeavesAllOpen() throws {
    let file = try read("{}")
    #expect(file.links == nil && file.xen == nil && file.memory == nil && file.lock == nil)
  }

  @Test(arguments: [
    ("[]", "m.json5: a list is not an object; write { key: value }"),
    (
      "{link: []}", "m.json5: the key 'link' is unknown; allowed are links, regions, xen, memory,"
    ),
    (
      "{regions: [{name: 'a', size: '1G', tokn: 'x'}]}",
      "m.json5: the key 'regions[0].tokn' is unknown; allowed are name, size, quota, token,"
    ),
    ("{links: 'eth0'}", "m.json5: links: 'eth0' is not a list of strings"),
    ("{links: ['eth0', 7]}", "m.json5: links[1]: 7 is not a string"),
    ("{regions: [3]}", "m.json5: regions[0]: 3 is not an object"),
    ("{regions: [{size: '1G'}]}", "m.json5: regions[0].name is missing"),
    ("{regions: [{name: 'a'}]}", "m.json5: regions[0].size is missing"),
    (
      "{regions: [{name: 'a b', size: 1}]}",
      "m.json5: regions[0].name: region name 'a b': 1 to 31 of"
    ),
    ("{regions: [{name: 'a', size: '1X'}]}", "m.json5: regions[0].size: '1X' is not a size"),
    ("{regions: [{name: 'a', size: -1}]}", "m.json5: regions[0].size: -1 is not a size"),
    (
      "{regions: [{name: 'a', size: 1, quota: 0.5}]}",
      "m.json5: regions[0].quota: 0.5 is not a size"
    ),
    (
      "{regions: [{name: 'a', size: '1M', quota: '2M'}]}",
      "m.json5: regions[0].size: region a: its quota is 2097152 bytes; 1 to its size, 1048576"
    ),
    (
      "{regions: [{name: 'a', size: 1, clients: ['x']}]}",
      "m.json5: regions[0].clients[0]: region a: 'x'"
    ),
    (
      "{regions: [{name: 'a', size: 1, token: ''}]}",
      "m.json5: regions[0].token: region a: its token has"
    ),
    (
      "{regions: [{name: 'a', size: 1, token: 'x', token_file: '/x'}]}",
      "m.json5: regions[0].token_file: region a: has two tokens"
    ),
    (
      "{regions: [{name: 'a', size: 1, token_file: '/no/such'}]}",
      "m.json5: regions[0].token_file: region a: cannot read token file /no/such: No such file"
    ),
    (
      "{memory: 'much'}",
      "m.json5: memory: 'much' is not a size: a number of bytes, or a text with K, M, G"
    ),
    ("{arena: 1}", "m.json5: arena: 1 is not a string"),
    ("{hugepages: true}", "m.json5: hugepages: true is not one of \"auto\", \"never\""),
    ("{lock: 'yes'}", "m.json5: lock: 'yes' is not true or false"),
    ("{http: '0.0.0.0:9400'}", "m.json5: http: http: '0.0.0.0' is not a loopback address"),
    ("{http: 9400}", "m.json5: http: 9400 is not a string"),
    (
      "{log_level: 'loud'}",
      "m.json5: log_level: 'loud' is not one of \"trace\", \"debug\", \"info\""
    ),
    ("{log_format: null}", "m.json5: log_format: null is not one of \"text\", \"json\""),
    (
      "{session_timeout_ms: 10}",
      "m.json5: session_timeout_ms: 10 is not a whole number from 1000 to"
    ),
    (
      "{busy_poll_us: 1e9}",
      "m.json5: busy_poll_us: 1000000000 is not a whole number from 0 to 1000000"
    ),
    ("{max_sessions: '8'}", "m.json5: max_sessions: '8' is not a whole number from 1 to 4096"),
    ("{ring_frames: {}}", "m.json5: ring_frames: an object is not a whole number from 64 to 65536"),
    (
      "{memory: ",
      "m.json5: is not JSON5: line 1, column 10: expected a value (a text stands in quotation marks)"
    ),
    ("", "m.json5: is not JSON5: line 1, column 1: expected a value"),
    ("{\n  memory: 4G\n}", "m.json5: is not JSON5: line 2, column 11: expected a value"),
    (
      "{\n  memory: '4G'\n  lock: true}",
      "m.json5: is not JSON5: line 3, column 3: expected a comma or }"
    ),
    (
      "{links: ['a', 'b}",
      "m.json5: is not JSON5: line 1, column 15: expected ' at the end of the text"
    ),
    ("{memory 1}", "m.json5: is not JSON5: line 1, column 9: expected : behind the key"),
    ("{memory: 1} x", "m.json5: is not JSON5: line 1, column 13: expected the end of the file"),
    (
      "{/* memory: 1}",
      "m.json5: is not JSON5: line 1, column 14: expected */ at the end of the comment"
    ),
    ("{,}", "m.json5: is not JSON5: line 1, column 2: expected a key or }"),
  ])
  func saysWhatIsWrongAndWhere(text: String, expected: String) {
    let message = message(text)
    #expect(message.hasPrefix(expected), "it says: \(message)")
  }

  @Test func tokenFilesAreFoundBesideTheFile() throws {
    let directory = try TemporaryDirectory()
    let token = URL(fileURLWithPath: directory.path + "/a.token")
    try Data("secret\n".utf8).write(to: token)
    chmod(token.path, 0o600)
    let path = directory.path + "/m.json5"
    try Data("{regions: [{name: 'a', size: 1, token_file: 'a.token'}]}".utf8)
      .write(to: URL(fileURLWithPath: path))
    #expect(try ConfigurationFile(path: path).regions?[0].token != nil)
  }

  @Test(arguments: ["/no/such.json5": "No such file or directory", "/tmp": "it is not a file"])
  func aFileThatCannotBeReadIsAnError(path: String, reason: String) {
    #expect(throws: (any Error).self) { try ConfigurationFile(path: path) }
    do { _ = try ConfigurationFile(path: path) } catch {
      #expect("\(error)" == "cannot read the configuration \(path): \(reason)")
    }
  }
}

@Suite struct HTTPAddressTests {
  @Test func readsLoopbackAddresses() throws {
    #expect(try HTTPAddress(parsing: "off") == .off)
    #expect(try HTTPAddress(parsing: "127.0.0.1:9400") == .ipv4("127.0.0.1", port: 9400))
    #expect(try HTTPAddress(parsing: "127.8.0.1:0") == .ipv4("127.8.0.1", port: 0))
    #expect(try HTTPAddress(parsing: "[::1]:80") == .ipv6("::1", port: 80))
  }

  @Test(arguments: [
    "", "on", "9400", ":9400", "localhost:9400", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
    "127.0.0.1:-1", "128.0.0.1:80", "0.0.0.0:80", "[::]:80", "[::2]:80", "[::ffff:127.0.0.1]:80",
    "::1:80", "[::1]", "192.168.0.1:80",
  ])
  func refusesOthers(text: String) {
    do {
      _ = try HTTPAddress(parsing: text)
      Issue.record("'\(text)' was taken")
    } catch {
      #expect("\(error)".contains("write 127.0.0.1:PORT, [::1]:PORT or off"), "it says: \(error)")
    }
  }
}
