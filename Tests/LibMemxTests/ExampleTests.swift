// SPDX-License-Identifier: Apache-2.0
import CLibMemx
import Foundation
import TestSupport
import Testing

/// C programs, linked with what tools/libmemx makes, against a real memxd.
@Suite(.serialized) struct ExampleTests {
  @Test("A C program reads a whole region right", arguments: ["cc", "clang"])
  func touch(compiler: String) throws {
    let bed = try Bed()
    let examples = try Examples(compiler: compiler)
    let ended = try examples.start(
      "touch", [bed.network.clientLink, "vm"], in: bed.network.client
    ).end()
    #expect(ended.status == 0, "\(ended)")
    #expect(ended.output.hasPrefix("sum \(bed.sum)\n"), "\(ended)")
    let fetched = try #require(figure("fetched", in: ended.output))
    let pushed = try #require(figure("pushed", in: ended.output))
    #expect(figure("slots", in: ended.output) == bed.slots)
    #expect(fetched + pushed == bed.slots, "\(ended)")
  }

  @Test(
    "A VM monitor hands its memory to another process, which serves it", arguments: ["cc", "clang"])
  func monitor(compiler: String) throws {
    let bed = try Bed()
    let examples = try Examples(compiler: compiler)
    let serve = try examples.start(
      "serve", [bed.network.clientLink, "vm", examples.socket], in: bed.network.client)
    try wait(forSocket: examples.socket)
    let guest = try examples.start("monitor", [examples.socket, "\(bed.slots * 4096)"]).end()
    let served = serve.end()
    #expect(guest.status == 0, "\(guest) \(served)")
    #expect(guest.output == "sum \(bed.sum)\n")
    #expect(served.status == 0, "\(served)")
    #expect(figure("mappings", in: served.output) == 2)
    let fetched = try #require(figure("fetched", in: served.output))
    let pushed = try #require(figure("pushed", in: served.output))
    #expect(fetched + pushed == bed.slots, "\(served)")
  }

  @Test("When the server has died, a page that cannot be had is a SIGBUS")
  func serverDies() throws {
    let bed = try Bed(slots: 65_536)
    let examples = try Examples(compiler: "cc")
    let touch = try examples.start(
      "touch", [bed.network.clientLink, "vm", "demand-only", "300"], in: bed.network.client)
    _ = try bed.server.wait(for: "a session") { $0.regions[0].session != nil }
    bed.server.signal(SIGKILL)
    let ended = touch.end()
    #expect(ended.status == 3, "\(ended)")
    #expect(ended.errors.contains("a page cannot be had"), "\(ended)")
  }

  @Test("What is missing when a service stops is a SIGBUS in the monitor too, never zeros")
  func stopped() throws {
    let bed = try Bed(slots: 65_536)
    let examples = try Examples(compiler: "cc")
    let listener = try listen(at: examples.socket)
    defer { close(listener) }
    let monitor = try examples.start("monitor", [examples.socket, "\(bed.slots * 4096)"])
    let socket = accept(listener, nil, nil)
    defer { close(socket) }

    var mappings = [memx_mapping](repeating: memx_mapping(), count: Int(MEMX_MAX_MAPPINGS))
    var count = 0
    let (userfaultfd, message) = withMessage {
      memx_receive(socket, 5000, &mappings, &count, $0, $1)
    }
    try #require(userfaultfd >= 0, "\(message)")
    defer { close(userfaultfd) }
    #expect(count == 2)
    #expect(mappings[0].length == bed.slots * 2048)
    #expect(mappings[1].offset == bed.slots * 2048)

    let opened = try Opened.open(
      bed.network, strategy: "demand-only",
      handed: Handed(userfaultfd: userfaultfd, mappings: Array(mappings[..<count])))
    try #require(opened.code == 0, "\(opened.message)")
    #expect(memx_base(opened.memory!) == nil)
    memx_stop(opened.memory!)
    #expect(opened.wait(timeout_ms: 10_000).code == -ECANCELED)
    let ended = monitor.end()
    #expect(ended.status == 3, "\(ended)")
    #expect(ended.output == "")
  }

  private func wait(forSocket path: String) throws {
    let end = Date(timeIntervalSinceNow: 10)
    while access(path, F_OK) != 0 {
      guard Date.now < end else { throw TestFailure("no socket \(path) after 10 s") }
      usleep(10_000)
    }
  }

  private func listen(at path: String) throws -> Int32 {
    let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let length = socklen_t(MemoryLayout<sockaddr_un>.size)
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(listener, $0, length) }
    }
    guard bound == 0, Glibc.listen(listener, 1) == 0 else {
      throw TestFailure("cannot listen at \(path): \(String(cString: strerror(errno)))")
    }
    return listener
  }
}
