// SPDX-License-Identifier: Apache-2.0
import Daemon
import Foundation
import Logging
import MemoryServer
import RMAP
import TestSupport
import Testing
import Xen

/// Dom0 with a memory server, a XenStore, and guest 7, which is paused with its frames taken out.
final class XenBed {
  static let domain = 7
  static let serve = "/local/domain/0/memx/serve/7"
  static let root = "/local/domain/7/data/memx/root"

  let network: TestNetwork
  let server: MemoryServer
  let store = MemoryXenStore()
  let guest = GuestFrames(domain: XenBed.domain)
  private(set) var regions: XenRegions
  private var now_ns: UInt64 = 1

  init() throws {
    let network = try TestNetwork(mtu: 9000)
    self.network = network
    let server = try inNamespace(network.server) {
      var configuration = ServerConfiguration()
      configuration.links = [network.serverLink]
      configuration.foreignRegions = 2
      let server = try MemoryServer(
        configuration, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
      try server.start()
      return server
    }
    self.server = server
    store.introduce(Self.domain)
    store.put("/local/domain/7/memory/static-max", "\(1000 * 4)")
    regions = try Self.start(store, guest, server)
  }

  deinit { server.stop() }

  private static func start(
    _ store: MemoryXenStore, _ guest: GuestFrames, _ server: MemoryServer
  ) throws -> XenRegions {
    try XenRegions(
      store: store, mapper: guest, server: server,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  }

  /// A new memxd after this one has died.
  func restart() throws {
    regions.dropAll()
    regions = try Self.start(store, guest, server)
  }

  /// What memxctl writes.
  func ask(region: String = "xen-7-abc", token: String = "secret") {
    store.erase(Self.serve)
    store.put(Self.serve + "/token", token)
    store.put(Self.serve + "/region", region)
  }

  /// The guest publishes its frames.
  @discardableResult
  func publish(pages: Range<Int> = 0..<500, generation: UInt64 = 0x61) -> GuestFrames.Tree {
    let tree = guest.makeTree(slots: 2000, used: Array(pages), generation: generation) {
      UserClient.words(slot: UInt64($0), version: generation)
    }
    store.put(
      Self.root, String(tree.root, radix: 16) + " " + String(tree.generation, radix: 16))
    return tree
  }

  /// Lets memxd take in what has happened; so much later by its clock.
  func work(after_ns: UInt64 = 2_000_000_000) throws {
    let end = Date(timeIntervalSinceNow: 5)
    repeat {
      while let event = try store.nextEvent() { try regions.take(event) }
      now_ns += after_ns
      try regions.work(now_ns: now_ns)
      if regions.patience_ms < 100 { usleep(2000) }
      guard Date.now < end else { throw TestFailure("a region does not leave") }
    } while regions.patience_ms < 100
  }

  /// Lets memxd work until `isSo`.
  func work(until what: String, _ isSo: () -> Bool) throws {
    let end = Date(timeIntervalSinceNow: 5)
    repeat {
      try work()
      if isSo() { return }
      usleep(5000)
    } while Date.now < end
    throw TestFailure("waited in vain for \(what): \(store.tree(Self.serve))")
  }

  /// A key of the directory that memxd writes in.
  subscript(key: String) -> String? { store["\(Self.serve)/\(key)"] }

  func client(region: String = "xen-7-abc", token: String = "secret") throws -> UserClient {
    let end = Date(timeIntervalSinceNow: 5)
    while server.ethernetAddress == nil, Date.now < end { usleep(2000) }
    return try UserClient(
      network, region: region, token: token, giveUp_ms: 1000,
      server: #require(server.ethernetAddress.flatMap { MACAddress($0) }))
  }
}
