// SPDX-License-Identifier: Apache-2.0
import CMemx
import Glibc
import Links
import Logging
import MemoryServer
import RMAP
import ServiceLifecycle
import Synchronization
import Xen

/// Lives in dom0: says in XenStore at which addresses memxd serves, and keeps ``XenRegions`` at work, in a thread of
/// its own because XenStore's library blocks.
package final class XenService: Service {
  /// How long to wait before XenStore is tried again.
  private static let retry_ms: Int32 = 1000

  /// How long to wait for the engine to say its address.
  private static let address_ms = 20
  /// How often to see whether the address has changed, as with a link that was made anew.
  private static let check_ms = 1000

  private let server: MemoryServer
  private let mapper: any FrameMapper
  private let first: any TransactionalXenStore
  private let open: @Sendable () throws(XenError) -> any TransactionalXenStore
  private let logger: Logger
  private let wake: Int32
  private let isEnding = Atomic(false)

  /// - Parameters:
  ///   - server: that has started.
  ///   - mapper: how frames of other domains are had.
  ///   - logger: told of what happens.
  ///   - open: connects to XenStore, at the start and whenever the connection has broken.
  /// - Throws: why XenStore cannot be used now.
  package init(
    server: MemoryServer, mapper: any FrameMapper, logger: Logger,
    open: @escaping @Sendable () throws(XenError) -> any TransactionalXenStore
  ) throws {
    self.server = server
    self.mapper = mapper
    self.logger = logger
    self.open = open
    first = try open()
    wake = memx_wake_open()
    guard wake >= 0 else { throw ConfigurationError("cannot make an eventfd") }
  }

  deinit { close(wake) }

  package func run() async throws {
    try await withTaskCancellationHandler {
      try await withGracefulShutdownHandler {
        try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
          do {
            try LinkThread { [self] in
              serve()
              done.resume()
            }.start()
          } catch { done.resume(throwing: error) }
        }
      } onGracefulShutdown: {
        self.stop()
      }
    } onCancel: {
      stop()
    }
  }

  private func stop() {
    isEnding.store(true, ordering: .releasing)
    memx_wake(wake)
  }

  private var shouldEnd: Bool { isEnding.load(ordering: .acquiring) }

  private func serve() {
    var store: (any TransactionalXenStore)? = first
    while !shouldEnd {
      do throws(XenError) {
        let connected = if let store { store } else { try open() }
        store = nil
        try serve(connected)
      } catch {
        logger.error("XenStore fails; trying again", metadata: ["reason": "\(error)"])
        var descriptor = pollfd(fd: wake, events: Int16(POLLIN), revents: 0)
        _ = poll(&descriptor, 1, Self.retry_ms)
      }
    }
  }

  /// Serves until the end, or until the connection breaks: then all regions go, and are found again in XenStore.
  private func serve(_ store: any TransactionalXenStore) throws(XenError) {
    let regions = try XenRegions(store: store, mapper: mapper, server: server, logger: logger)
    do { try serve(store, regions) } catch {
      regions.dropAll()
      throw error
    }
  }

  private func serve(
    _ store: any TransactionalXenStore, _ regions: XenRegions
  ) throws(XenError) {
    var published: [String: String] = [:]
    while !shouldEnd {
      for (transport, address) in server.addresses where published[transport] != address {
        try store.write("\(ServePaths.server)/\(transport)", address)
        published[transport] = address
      }
      let patience_ms = min(
        regions.patience_ms, published.isEmpty ? Self.address_ms : Self.check_ms)
      var event = try store.waitForEvent(timeout_ms: patience_ms, wake: wake)
      while let next = event {
        try regions.take(next)
        event = try store.nextEvent()
      }
      try regions.work(now_ns: monotonic_ns())
    }
    try store.remove(ServePaths.server)
  }
}

private func monotonic_ns() -> UInt64 {
  var now = timespec()
  clock_gettime(CLOCK_MONOTONIC, &now)
  return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
}
