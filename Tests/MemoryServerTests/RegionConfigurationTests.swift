// SPDX-License-Identifier: Apache-2.0
import Foundation
import MemoryServer
import RMAP
import TestSupport
import Testing

@Suite struct RegionConfigurationTests {
  @Test func readsEveryWord() throws {
    let region = try RegionConfiguration(
      parsing: "vm-1.a_B:4G,quota=1M,token=a=b,client=52:54:00:12:34:56,client=02:00:00:00:00:0A"
        + ",client=10.1.2.3,client=FD00:0::1")
    #expect(region.name.description == "vm-1.a_B")
    #expect(region.slots == 1 << 20)
    #expect(region.quota == 256)
    #expect(region.token?.matches(Token("a=b")!) == true)
    #expect(
      region.clients.map(\.description) == [
        "52:54:00:12:34:56", "02:00:00:00:00:0a", "10.1.2.3", "fd00::1",
      ])
  }

  @Test(arguments: [
    ("4097", 4097), ("1k", 1024), ("3M", 3 << 20), ("2g", 2 << 30), ("16T", 16 << 40),
  ])
  func readsSizes(text: String, byteCount: Int) throws {
    #expect(try RegionConfiguration.size(text, of: "memory") == byteCount)
  }

  @Test(arguments: ["", "K", "0", "-1", "1.5G", "1GB", "8388608T", "0x10", " 1", "1 "])
  func refusesWhatIsNoSize(text: String) {
    #expect(throws: ConfigurationError.self) { try RegionConfiguration.size(text, of: "memory") }
  }

  @Test(arguments: [
    ("a", "region 'a': write NAME:SIZE"),
    (":1G", "region ':1G': write NAME:SIZE"),
    ("a b:1G", "region name 'a b': 1 to 31 of A-Z a-z 0-9 . _ - are allowed"),
    ("abcdefghijklmnopqrstuvwxyz0123456:1G", "1 to 31 of"),
    (
      "a:1X",
      "region a: '1X' is no size; give bytes, or a whole number with K, M, G or T, such as 512M"
    ),
    ("a:17T", "region a: its size is 18691697672192 bytes; 1 to 17592186044416 (16T) are allowed"),
    ("a:1G,quota=2G", "region a: its quota is 2147483648 bytes; 1 to its size, 1073741824"),
    ("a:1G,quota=x", "quota of region a: 'x' is no size"),
    (
      "a:1G,token",
      "region a: 'token' is not quota=SIZE, token=TEXT, token_file=PATH, client=ADDRESS, strategy=NAME"
    ),
    ("a:1G,", "region a: '' is not quota=SIZE"),
    (
      "a:1G,size=1",
      "region a: 'size' is unknown; quota, token, token_file, client, strategy, push_rate and layout are allowed"
    ),
    ("a:1G,token=x,token=y", "region a: has two tokens; one is allowed"),
    ("a:1G,token=123456789012345678901234567890123", "its token has 33 bytes; 1 to 32 are allowed"),
    ("a:1G,client=52:54", "'52:54' is not a client's address; write one like 52:54:00:12:34:56"),
    (
      "a:1G,layout=round",
      "layout of region a: 'round' is unknown; linear and scattered are allowed"
    ),
    ("a:1G,quota=1M,layout=linear", "region a: has a quota and layout=linear"),
    ("a:1G,client=ff:ff:ff:ff:ff:ff", "is not a client's address"),
    ("a:1G,token_file=/no/such", "region a: cannot read token file /no/such: No such file"),
  ])
  func saysWhatIsWrong(text: String, expected: String) {
    let message = errorText { _ = try RegionConfiguration(parsing: text) }
    #expect(message.contains(expected), "it says: \(message)")
    #expect(!message.contains("0123456789012345678901"), "the token must not be in the message")
  }

  @Test func readsATokenFile() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/token"
    try Data("secret word\r\n".utf8).write(to: URL(fileURLWithPath: path))
    chmod(path, 0o644)
    #expect(
      errorText { _ = try RegionConfiguration(parsing: "a:1G,token_file=\(path)") }
        == "region a: token file \(path) is open to every user; chmod 600 \(path)")
    chmod(path, 0o640)
    let region = try RegionConfiguration(parsing: "a:1G,token_file=\(path)")
    #expect(region.token?.matches(Token("secret word")!) == true)
    for (content, expected) in [
      (Data(), "its token has 0 bytes"), (Data([0xFF, 0xFE]), "is not UTF-8 text"),
      (Data("a\u{0}b".utf8), "none of them NUL"), (Data(count: 100_000), "1 to 32 are allowed"),
    ] {
      try content.write(to: URL(fileURLWithPath: path))
      chmod(path, 0o600)
      let message = errorText { _ = try RegionConfiguration(parsing: "a:1G,token_file=\(path)") }
      #expect(message.contains(expected), "it says: \(message)")
    }
    #expect(
      errorText { _ = try RegionConfiguration(parsing: "a:1G,token_file=\(directory.path)") }
        .contains("is not a file"))
  }

  @Test(arguments: [
    "no link", "no region", "no memory", "a link is named twice", "two regions have the same name",
    "ring frames: 63 is not allowed; 64 to 65536 are", "max sessions: 5000 is not allowed",
    "session timeout in ms: 999 is not allowed; 1000 to 86400000 are",
    "busy poll in us: 1000001 is not allowed; 0 to 1000000 are",
  ])
  func theWholeIsChecked(expected: String) throws {
    var configuration = ServerConfiguration()
    configuration.links = ["a"]
    configuration.regions = [try RegionConfiguration(parsing: "a:1M")]
    configuration.memoryBytes = 1 << 20
    try configuration.validate()
    switch expected.prefix(6) {
    case "no lin": configuration.links = []
    case "no reg": configuration.regions = []
    case "no mem": configuration.memoryBytes = 0
    case "a link": configuration.links = ["a", "a"]
    case "two re": configuration.regions += configuration.regions
    case "ring f": configuration.ringFrames = 63
    case "max se": configuration.maxSessions = 5000
    case "sessio": configuration.sessionTimeout_ms = 999
    default: configuration.busyPoll_us = 1_000_001
    }
    #expect(errorText { try configuration.validate() }.hasPrefix(expected))
  }

  private func errorText(_ body: () throws -> Void) -> String {
    do { try body() } catch { return "\(error)" }
    return "no error"
  }
}

@Suite struct TokenTests {
  @Test func onlyTheSameTokenMatches() {
    let token = Token("correct horse")!
    #expect(token.matches(Token("correct horse")!))
    for other in ["", "correct hors", "correct horse ", "Correct horse", "correct horsf"] {
      #expect(!token.matches(Token(other)!))
    }
  }

  /// What differs at the first byte takes as long as what differs at the last: no byte is skipped.
  @Test func everyByteCounts() {
    let text = [UInt8](repeating: 65, count: 32)
    let token = Token(String(decoding: text, as: UTF8.self))!
    for index in 0..<32 {
      var other = text
      other[index] ^= 1
      #expect(!token.matches(Token(String(decoding: other, as: UTF8.self))!))
    }
  }
}
