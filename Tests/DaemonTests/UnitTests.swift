// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestSupport
import Testing

/// The unit file under a real systemd: its hardening lets memxd do all that it does.
@Suite struct UnitTests {
  private let unit = "memxd.service"
  private let network: TestNetwork
  private let container: SystemdContainer

  init() throws {
    network = try TestNetwork(mtu: 9000)
    container = try SystemdContainer(network)
    try container.install(MemxdProcess.path(), to: "/usr/sbin/memxd")
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("tools/systemd/memxd.service")
    try container.write(
      String(contentsOf: file, encoding: .utf8), to: "/etc/systemd/system/memxd.service")
    try container.write("sesame\n", to: "/etc/memx/vm1.token")
    try container.write(
      "[Service]\nLoadCredential=vm1.token:/etc/memx/vm1.token\nWatchdogSec=2s\n",
      to: "/etc/systemd/system/memxd.service.d/test.conf")
    // A user that systemd makes up has to read it.
    try container.write(
      """
      {
        links: ["\(network.serverLink)"],
        regions: [{
          name: "vm1", size: "8M", token_file: "/run/credentials/memxd.service/vm1.token"
        }],
        memory: "8M", lock: true, arena: "/var/lib/memxd/arena", http: "127.0.0.1:9420",
      }
      """, to: "/etc/memx/memxd.json5", mode: 0o644)
  }

  private func wait(for what: String, seconds: Double, _ holds: () throws -> Bool) throws {
    let end = Date(timeIntervalSinceNow: seconds)
    while Date.now < end {
      if try holds() { return }
      usleep(100_000)
    }
    throw TestFailure("waited in vain for \(what): \(try container.journal(of: unit))")
  }

  @Test(.timeLimit(.minutes(3))) func memxdServesUnderItsUnit() throws {
    try container.boot(unit)
    try wait(for: "READY=1", seconds: 60) {
      try container.property("ActiveState", of: unit) == "active"
    }
    // Packet sockets, the credential, locked memory, the state directory, HTTP.
    let client = try UserClient(network, region: "vm1", token: "sesame", giveUp_ms: 30_000)
    #expect(client.attach() == .live)
    #expect(client.write(0..<2048, version: 1) == .init(done: 2048))
    #expect(client.read(0..<2048, expecting: .version(1)) == .init(done: 2048))
    let status = try inNamespace(network.server) { try HTTPAnswer(port: 9420, path: "/healthz") }
    #expect(status.code == 200)
    let process = try container.property("MainPID", of: unit)
    let figures = try container.inside("cat", "/proc/\(process)/status")
    let locked = figures.firstMatch(of: /VmLck:\s+(\d+) kB/).flatMap { Int($0.1) }
    #expect(try #require(locked, "\(figures)") >= 8 << 10)
    #expect(!figures.contains("Uid:\t0\t"))
    // It says that it lives more often than every two seconds.
    sleep(3)
    #expect(try container.property("MainPID", of: unit) == process)

    // One that hangs is replaced, and the next serves the same pages.
    _ = try container.inside("kill", "-STOP", process)
    try wait(for: "the watchdog", seconds: 30) {
      try container.property("NRestarts", of: unit) == "1"
        && container.property("ActiveState", of: unit) == "active"
    }
    #expect(client.read(0..<2048, expecting: .version(1)) == .init(done: 2048))
    #expect(client.grant?.lost == false)

    _ = try container.inside("systemctl", "stop", unit)
    #expect(try container.property("Result", of: unit) == "success")
    let journal = try container.journal(of: unit)
    #expect(journal.contains("ended; sessions are closed and an arena in files is whole"))
    // What the filter of system calls forbids.
    #expect(!journal.contains("Operation not permitted") && !journal.contains("errno=1\n"))
  }
}
