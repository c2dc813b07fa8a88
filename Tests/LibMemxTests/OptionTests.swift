// SPDX-License-Identifier: Apache-2.0
import CLibMemx
import CMemx
import Foundation
import Links
import RMAP
import RemoteMemory
import TestSupport
import Testing

/// The errors that memx.h documents.
@Suite(.serialized) struct OptionTests {
  private typealias Change = @Sendable (inout memx_options) -> Void

  @Test("Wrong options are errors that name them, before anything is opened")
  func wrongOptions() throws {
    let network = try TestNetwork(mtu: 1500)
    let changes: [(Change, Int32, String)] = [
      ({ $0.size = 0 }, EINVAL, "options.size is 0"),
      ({ $0.size -= 8 }, EINVAL, "options.size is 88"),
      ({ $0.link = nil }, EINVAL, "options.link"),
      ({ $0.region = nil }, EINVAL, "options.region"),
      ({ $0.flags = 2 }, E2BIG, "options.flags"),
      ({ $0.mtu = 100 }, EINVAL, "MTU of 100"),
      ({ $0.queue_depth = 513 }, EINVAL, "queue depth of 513"),
      ({ $0.order_count = 1 }, EINVAL, "options.order"),
    ]
    for (change, code, message) in changes {
      let opened = try Opened.open(network, change)
      #expect(opened.code == -code && opened.message.contains(message), "\(opened.message)")
      #expect(opened.memory == nil)
    }
    let texts: [(Opened, Int32, String)] = [
      (try .open(network, link: "nosuch0"), ENODEV, "nosuch0"),
      (try .open(network, region: "a b"), EINVAL, "options.region"),
      (try .open(network, region: ""), EINVAL, "options.region"),
      (try .open(network, token: String(repeating: "x", count: 33)), EINVAL, "options.token"),
      (try .open(network, server: "52:54:00"), EINVAL, "options.server"),
      (
        try .open(network, strategy: String(repeating: "s", count: 33)), EINVAL, "at most 32 bytes"
      ),
      (try .open(network) { $0.attach_timeout_ms = 50 }, ETIMEDOUT, "within 50 ms"),
    ]
    for (opened, code, message) in texts {
      #expect(opened.code == -code && opened.message.contains(message), "\(opened.message)")
    }
  }

  @Test("Options of a newer version are taken as long as what is unknown is 0")
  func newerOptions() throws {
    let network = try TestNetwork(mtu: 1500)
    struct Newer {
      var known = memx_options()
      var more: UInt64 = 0
    }
    func open(more: UInt64) throws -> (code: Int32, message: String) {
      try inNamespace(network.client) {
        "eth0".withCString { link in
          "vm".withCString { region in
            var newer = Newer(more: more)
            newer.known.size = MemoryLayout<Newer>.size
            newer.known.link = link
            newer.known.region = region
            newer.known.attach_timeout_ms = 50
            return withUnsafePointer(to: &newer) {
              $0.withMemoryRebound(to: memx_options.self, capacity: 1) { options in
                var memory: OpaquePointer?
                return withMessage { memx_open(options, &memory, $0, $1) }
              }
            }
          }
        }
      }
    }
    #expect(try open(more: 0).code == -ETIMEDOUT)
    let refused = try open(more: 1)
    #expect(refused.code == -E2BIG && refused.message.contains("does not know"))
  }

  @Test("What memx.h has room for is what the library has")
  func limits() {
    #expect(Int(MEMX_PAGE_BYTES) == Wire.pageBytes)
    #expect(Int(MEMX_MAX_MAPPINGS) == HandOver.maxMappings)
    #expect(Wire.maxQueueDepth == 512)
    #expect(Wire.maxOrderExtents == 1_048_576)
  }

  @Test("A message is cut to its buffer, between characters")
  func messages() {
    var memory: OpaquePointer?
    var buffer = [CChar](repeating: 0x55, count: 16)
    #expect(memx_open(nil, &memory, &buffer, 10) == -EINVAL)
    #expect(text(buffer) == "options: ")
    #expect(buffer[10] == 0x55)
    #expect(memx_open(nil, &memory, nil, 0) == -EINVAL)

    var options = memx_options()
    options.size = MemoryLayout<memx_options>.size
    "\u{e9}".withCString { link in
      "vm".withCString { region in
        (options.link, options.region) = (link, region)
        #expect(memx_open(&options, &memory, &buffer, 7) == -ENODEV)
        #expect(text(buffer) == "link ")
        #expect(memx_open(&options, &memory, &buffer, 8) == -ENODEV)
        #expect(text(buffer) == "link \u{e9}")
      }
    }
  }

  private func text(_ buffer: [CChar]) -> String {
    buffer.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
  }

  @Test("What a server refuses has its errno value")
  func refusals() throws {
    let bed = try Bed(region: ",token=sesame")
    let server = try bed.server.status().links[0].address
    let wrong = try Opened.open(bed.network, token: "mellon", server: server)
    #expect(wrong.code == -EACCES, "\(wrong.message)")
    let none = try Opened.open(bed.network, region: "nosuch", server: server)
    #expect(none.code == -ENOENT, "\(none.message)")
    let first = try Opened.open(
      bed.network, token: "sesame", server: server, strategy: "demand-only")
    try #require(first.code == 0, "\(first.message)")
    #expect(first.message == "")
    let link = try inNamespace(bed.network.client) {
      // The server tells clients apart by their address.
      try EthernetLink("eth0").address.description
    }
    _ = try bed.server.wait(for: "the session") { $0.regions[0].session?.client == link }
  }

  @Test("Figures, time limits and the end")
  func end() throws {
    let bed = try Bed()
    let opened = try Opened.open(bed.network, strategy: "demand-only") {
      $0.flags = UInt32(MEMX_RECORD_TOUCHES)
    }
    let memory = try #require(opened.memory, "\(opened.message)")
    #expect(memx_slots(memory) == bed.slots)
    let base = try #require(memx_base(memory))
    for slot in [7, 8, 9, 3, 0, 1, 2, 6, 4, 5] as [UInt64] {
      #expect(
        UserClient.holds(base + Int(slot) * Wire.pageBytes, .version(Bed.version), slot: slot))
    }
    var touches = [memx_extent](repeating: memx_extent(), count: 3)
    #expect(memx_touches(memory, nil, 0) == 5)
    #expect(memx_touches(memory, &touches, 3) == 5)
    #expect(touches.map(\.slot) == [7, 3, 0] && touches.map(\.count) == [3, 1, 3])
    let late = opened.wait(timeout_ms: 20)
    #expect(late.code == -ETIMEDOUT && late.message.contains("20 ms"), "\(late)")

    memx_stop(memory)
    let stopped = opened.wait(timeout_ms: -1)
    #expect(stopped.code == -ECANCELED && stopped.message.contains("stopped"), "\(stopped)")
    let stats = opened.stats
    #expect(stats.phase == MEMX_ENDED.rawValue)
    #expect(stats.slots == bed.slots && stats.fetched == 10 && stats.network_faults == 10)

    // A program of another version: less room, and more.
    var bytes = [UInt8](repeating: 0x55, count: 200)
    bytes.withUnsafeMutableBytes {
      memx_stats(memory, $0.baseAddress!.assumingMemoryBound(to: memx_stats.self), 16)
    }
    #expect(bytes[16...].allSatisfy { $0 == 0x55 })
    bytes.withUnsafeMutableBytes {
      memx_stats(memory, $0.baseAddress!.assumingMemoryBound(to: memx_stats.self), 200)
    }
    #expect(bytes[MemoryLayout<memx_stats>.size...].allSatisfy { $0 == 0 })
  }

  @Test("A strategy that the server does not know is an error of memx_wait")
  func unknownStrategy() throws {
    let bed = try Bed()
    let opened = try Opened.open(bed.network, strategy: "psychic")
    #expect(opened.code == 0)
    let ended = opened.wait(timeout_ms: -1)
    #expect(ended.code == -EINVAL && ended.message.contains("psychic"), "\(ended)")
  }

  @Test("The service thread takes no signals; a closed memory leaves nothing behind")
  func nothingLeft() throws {
    let bed = try Bed()
    let before = descriptors()
    for _ in 0..<5 {
      let opened = try Opened.open(bed.network, strategy: "demand-only")
      let memory = try #require(opened.memory, "\(opened.message)")
      let base = try #require(memx_base(memory))
      // Once a page has come, the thread runs and has its name.
      #expect(UserClient.holds(base, .version(Bed.version), slot: 0))
      let threads = serviceThreads()
      #expect(threads.count == 1)
      #expect(threads.allSatisfy(blocksSignals))
      opened.close()
      #expect(serviceThreads().isEmpty)
      #expect(msync(base, Wire.pageBytes, MS_ASYNC) == -1 && errno == ENOMEM)
    }
    #expect(descriptors() == before)
  }

  private func descriptors() -> Int {
    (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
  }

  /// The status of each thread that moves pages.
  private func serviceThreads() -> [String] {
    let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
    return tasks.compactMap {
      try? String(contentsOfFile: "/proc/self/task/\($0)/status", encoding: .utf8)
    }.filter { $0.hasPrefix("Name:\tmemx-postcopy\n") }
  }

  private func blocksSignals(_ status: String) -> Bool {
    let line = status.split(separator: "\n").first { $0.hasPrefix("SigBlk:") }
    let mask = line.flatMap { UInt64($0.split(separator: "\t")[1], radix: 16) } ?? 0
    return [SIGTERM, SIGALRM, SIGUSR1, SIGCHLD].allSatisfy { mask >> UInt64($0 - 1) & 1 == 1 }
  }

  @Test("What was handed over is looked at before anything is opened")
  func wrongMappings() throws {
    let bed = try Bed()
    let page = memx_mapping(address: 1 << 32, length: 4096, offset: 0)
    let half = memx_mapping(address: 1 << 32, length: 2048, offset: 0)
    let past = memx_mapping(address: 1 << 32, length: 4096, offset: bed.slots * 4096)
    let userfaultfd = memx_uffd_open(MEMX_UFFD_CALL)
    try #require(userfaultfd >= 0)
    defer { close(userfaultfd) }
    let file = open("/dev/null", O_RDONLY)
    defer { close(file) }
    let cases: [(Int32, [memx_mapping], Int32, String)] = [
      (file, [page], EINVAL, "not one of userfaultfd"),
      (-1, [page], EBADF, "userfaultfd -1"),
      (userfaultfd, [], EINVAL, "mappings"),
      (userfaultfd, [half], EINVAL, "whole pages"),
      (userfaultfd, [page, page], EINVAL, "in two areas"),
      (userfaultfd, [past], EINVAL, "smaller than the mapping"),
    ]
    for (descriptor, mappings, code, message) in cases {
      let opened = try Opened.open(
        bed.network, handed: Handed(userfaultfd: descriptor, mappings: mappings))
      #expect(opened.code == -code && opened.message.contains(message), "\(opened.message)")
    }
    // It is still the caller's.
    #expect(fcntl(userfaultfd, F_GETFD) >= 0)
  }
}
