// SPDX-License-Identifier: Apache-2.0
import CTestSupport
import Foundation
import Logging
import MemoryServer
import RMAP
import TestSupport
import Testing

/// The steady state takes no memory: the calls of malloc that an engine's thread makes are counted while
/// it serves pages.
@Suite(.serialized) struct AllocationTests {
  @Test func theCounterCounts() {
    test_watch_allocations(test_thread_id())
    test_allocate(100)
    #expect(test_allocations() > 0)
    test_watch_allocations(0)
  }

  @Test(arguments: [1500, 9000])
  func anEngineAllocatesNothingForEachPage(mtu: Int) throws {
    let network = try TestNetwork(mtu: mtu)
    let server = try inNamespace(network.server) {
      var configuration = ServerConfiguration()
      configuration.links = [network.serverLink]
      configuration.regions = [try RegionConfiguration(parsing: "a:32M")]
      configuration.memoryBytes = 32 << 20
      let server = try MemoryServer(
        configuration,
        logger: Logger(label: "test") { _ in
          SwiftLogNoOpLogHandler()
        })
      // The engine's thread begins in this thread's namespace.
      try server.start()
      return server
    }
    defer { server.stop() }
    let client = try UserClient(network, region: "a")
    #expect(client.attach() == .live)
    #expect(client.write(0..<8192, version: 0) == .init(done: 8192))

    test_watch_allocations(try engineThread(link: network.serverLink))
    defer { test_watch_allocations(0) }
    let firstBeat = server.engineReports[0].heartbeat
    for version in UInt64(1)...6 {
      #expect(client.write(0..<8192, version: version) == .init(done: 8192))
      #expect(client.read(0..<8192, expecting: .version(version)) == .init(done: 8192))
      #expect(client.discard(0..<64) == .init(done: 1))
    }
    let allocations = test_allocations()
    let reports = server.engineReports[0].heartbeat - firstBeat + 1
    let pages = 6 * 2 * 8192
    // A report, 20 a second, takes an array or two; the pages nothing.
    #expect(
      allocations <= 16 * reports + UInt64(pages / 1000),
      "\(allocations) allocations for \(pages) pages and \(reports) reports")
    print("mtu \(mtu): \(allocations) allocations, \(pages) pages, \(reports) reports")
  }

  @Test func norForAPageInAnotherDomainsFrames() throws {
    let bed = try ForeignBed()
    let region = try bed.serve("guest", slots: 4096, used: Array(0..<4096))
    let client = try bed.client("guest")
    #expect(client.attach() == .live)
    #expect(client.read(0..<4096, expecting: .version(1)) == .init(done: 4096))

    test_watch_allocations(try engineThread(link: bed.network.serverLink))
    defer { test_watch_allocations(0) }
    let firstBeat = bed.server.engineReports[0].heartbeat
    for _ in 0..<10 {
      #expect(client.read(0..<4096, expecting: .version(1)) == .init(done: 4096))
    }
    let allocations = test_allocations()
    let reports = bed.server.engineReports[0].heartbeat - firstBeat + 1
    let pages = 10 * 4096
    #expect(
      allocations <= 16 * reports + UInt64(pages / 1000),
      "\(allocations) allocations for \(pages) pages and \(reports) reports")
    test_watch_allocations(0)
    bed.withdraw(region)
  }

  /// The id of this process's thread that serves a link.
  private func engineThread(link: String) throws -> Int32 {
    var found: [Int32] = []
    for task in try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task") {
      let name = try? String(contentsOfFile: "/proc/self/task/\(task)/comm", encoding: .utf8)
      if name == "memx:\(link)\n" { found.append(Int32(task)!) }
    }
    guard found.count == 1 else { throw TestFailure("\(found.count) engine threads") }
    return found[0]
  }
}
