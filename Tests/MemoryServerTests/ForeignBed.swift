// SPDX-License-Identifier: Apache-2.0
import Foundation
import Logging
import MemoryServer
import PageStore
import RMAP
import TestSupport
import Testing

/// A server in this process with a region of its own, `own`, and a guest whose frames it may serve.
final class ForeignBed {
  let network: TestNetwork
  let server: MemoryServer
  let guest = GuestFrames(domain: 5)
  let generation: UInt64 = 0xFEED_0001

  init(mtu: Int = 9000) throws {
    let network = try TestNetwork(mtu: mtu)
    self.network = network
    server = try inNamespace(network.server) {
      var configuration = ServerConfiguration()
      configuration.links = [network.serverLink]
      configuration.regions = [try RegionConfiguration(parsing: "own:1M,token=token")]
      configuration.memoryBytes = 1 << 20
      configuration.foreignRegions = 2
      let server = try MemoryServer(
        configuration, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
      try server.start()
      return server
    }
    try wait(for: "the link's address") { server.ethernetAddress != nil }
  }

  deinit { server.stop() }

  @discardableResult
  func serve(
    _ name: String, slots: UInt64, used: [Int], spoil: (GuestFrames.Tree) -> Void = { _ in }
  ) throws -> ForeignRegion {
    let made = guest.makeTree(slots: slots, used: used, generation: generation) {
      UserClient.words(slot: UInt64($0), version: 1)
    }
    spoil(made)
    let tree = try FrameTree(
      FrameTree.Root(frame: made.root, generation: generation), of: guest.domain, limit: 10_000,
      mapper: guest)
    let region = RegionConfiguration(
      name: RegionName(name)!, byteCount: 0, token: Token("token")!)
    return try server.serve(try ForeignPages(tree, mapper: guest), as: region)
  }

  func client(
    _ region: String, token: String = "token", giveUp_ms: UInt64 = 10_000
  ) throws -> UserClient {
    try UserClient(
      network, region: region, token: token, giveUp_ms: giveUp_ms,
      server: #require(server.ethernetAddress.flatMap { MACAddress($0) }))
  }

  /// Withdraws, as often as it takes.
  func withdraw(_ region: ForeignRegion) {
    let end = Date(timeIntervalSinceNow: 5)
    while !server.withdraw(region) {
      guard Date.now < end else {
        Issue.record("the engine does not give the region back")
        return
      }
      usleep(2000)
    }
  }

  func wait(for what: String, _ isSo: () -> Bool) throws {
    let end = Date(timeIntervalSinceNow: 5)
    while !isSo() {
      guard Date.now < end else { throw TestFailure("waited in vain for \(what)") }
      usleep(2000)
    }
  }

  /// Waits for the report of the guest's region.
  func wait(for what: String, _ isSo: (RegionReport) -> Bool) throws -> RegionReport {
    var report: RegionReport?
    try wait(for: what) {
      report = server.regionReports.first { $0.domain != nil && isSo($0) }
      return report != nil
    }
    return report!
  }
}
