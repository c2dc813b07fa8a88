// SPDX-License-Identifier: Apache-2.0
import Daemon
import Foundation
import Logging
import MemoryServer
import ServiceLifecycle
import Synchronization
import TestSupport
import Testing
import Xen

@Suite struct XenServiceTests {
  /// Stores in the order in which they are opened.
  private final class Stores: Sendable {
    private let stores: Mutex<[MemoryXenStore]>
    init(_ stores: [MemoryXenStore]) { self.stores = Mutex(stores) }
    func open() throws(XenError) -> any TransactionalXenStore {
      guard let store = stores.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) else {
        throw XenError("cannot open the store", code: 2)
      }
      return store
    }
  }

  private static let server = "/local/domain/0/memx/server/ethernet"

  private func wait(for what: String, _ isSo: () -> Bool) async throws {
    let end = Date(timeIntervalSinceNow: 10)
    while !isSo() {
      guard Date.now < end else { throw TestFailure("waited in vain for \(what)") }
      try await Task.sleep(for: .milliseconds(5))
    }
  }

  @Test func saysWhereItServesUntilItsEndAndFindsItsWayBack() async throws {
    let bed = try XenBed()
    let (first, second) = (MemoryXenStore(), MemoryXenStore())
    for store in [first, second] {
      store.introduce(XenBed.domain)
      store.put("/local/domain/7/memory/static-max", "4000")
      store.put(XenBed.serve + "/token", "secret")
      store.put(XenBed.serve + "/region", "xen-7-abc")
    }
    let tree = bed.publish()
    let root = "\(String(tree.root, radix: 16)) \(String(tree.generation, radix: 16))"
    let stores = Stores([first, second])
    let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    let service = try XenService(server: bed.server, mapper: bed.guest, logger: quiet) {
      () throws(XenError) in try stores.open()
    }
    let group = ServiceGroup(
      configuration: .init(services: [.init(service: service)], logger: quiet))
    let running = Task { try await group.run() }
    try await wait(for: "its address") { first[Self.server] != nil }
    #expect(first[Self.server] == bed.server.ethernetAddress)
    first.put(XenBed.root, root)
    try await wait(for: "service") { first[XenBed.serve + "/state"] == "serving" }

    second.put(XenBed.root, root)
    first.breakOff()
    try await wait(for: "the second store") { second[XenBed.serve + "/state"] == "serving" }
    #expect(bed.server.regionReports.count == 1)

    await group.triggerGracefulShutdown()
    try await running.value
    #expect(second[Self.server] == nil)
    #expect(second[XenBed.serve + "/state"] == "serving", "for the next memxd")
  }

  @Test func withoutAStoreItDoesNotStart() throws {
    let bed = try XenBed()
    let error = #expect(throws: XenError.self) {
      try XenService(
        server: bed.server, mapper: bed.guest, logger: Logger(label: "test")
      ) { () throws(XenError) in
        throw XenError("cannot open the store", code: 2)
      }
    }
    #expect("\(error!)" == "cannot open the store: No such file or directory")
  }
}
