// SPDX-License-Identifier: Apache-2.0
import Daemon
import Foundation
import Glibc
import TestSupport
import Testing

/// systemd's side of sd_notify(3).
final class NotifySocket {
  let path: String
  private let descriptor: Int32
  private let directory: TemporaryDirectory

  init(_ directory: TemporaryDirectory) throws {
    self.directory = directory
    path = directory.path + "/notify"
    descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
    let bound = withUnsafePointer(to: &address) { address in
      address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard bound == 0 else { throw TestFailure("cannot bind \(path)") }
    var limit = timeval(tv_sec: 10, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
  }

  deinit { close(descriptor) }

  /// The next message; waits 10 seconds for it at most.
  func next() -> String? {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = recv(descriptor, &buffer, buffer.count, 0)
    return count < 0 ? nil : String(decoding: buffer[..<count], as: UTF8.self)
  }
}

@Suite struct ServiceManagerTests {
  @Test func sendsWhatItIsTold() throws {
    let socket = try NotifySocket(TemporaryDirectory())
    let manager = ServiceManager(environment: ["NOTIFY_SOCKET": socket.path])
    #expect(manager.notify("READY=1", "STATUS=up"))
    #expect(socket.next() == "READY=1\nSTATUS=up")
    #expect(manager.watchdog_us == nil)
  }

  @Test func withoutSystemdItIsQuiet() {
    #expect(!ServiceManager(environment: [:]).notify("READY=1"))
    #expect(!ServiceManager(environment: ["NOTIFY_SOCKET": "relative"]).notify("READY=1"))
    #expect(!ServiceManager(environment: ["NOTIFY_SOCKET": "/no/such"]).notify("READY=1"))
  }

  @Test func theWatchdogIsForItsOwnProcess() {
    #expect(ServiceManager(environment: ["WATCHDOG_USEC": "1000"]).watchdog_us == 1000)
    let mine = ["WATCHDOG_USEC": "1000", "WATCHDOG_PID": "\(getpid())"]
    #expect(ServiceManager(environment: mine).watchdog_us == 1000)
    let other = ["WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"]
    #expect(ServiceManager(environment: other).watchdog_us == nil)
  }

  @Test func memxdTellsSystemdHowItIs() throws {
    let network = try TestNetwork(mtu: 1500)
    let directory = try TemporaryDirectory()
    let socket = try NotifySocket(directory)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [
      "ip", "netns", "exec", network.server, try MemxdProcess.path(), "--link", network.serverLink,
      "--region", "a:1M", "--memory", "1M", "--log-level", "critical",
    ]
    process.environment = ProcessInfo.processInfo.environment.merging(
      ["NOTIFY_SOCKET": socket.path, "WATCHDOG_USEC": "100000"]) { $1 }
    try process.run()
    defer { process.terminate() }
    let first = try #require(socket.next())
    #expect(first.hasPrefix("READY=1\nSTATUS=0 clients, 1 regions, 0 of "))
    var signsOfLife = 0
    while signsOfLife < 3, let message = socket.next() {
      if message == "WATCHDOG=1" { signsOfLife += 1 }
    }
    #expect(signsOfLife == 3)
    process.terminate()
    var last = ""
    while !last.hasPrefix("STOPPING=1"), let message = socket.next() { last = message }
    #expect(last == "STOPPING=1\nSTATUS=ending")
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
  }
}
