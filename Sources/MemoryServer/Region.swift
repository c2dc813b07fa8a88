// SPDX-License-Identifier: Apache-2.0
import PageStore
import RMAP
import Synchronization

/// A region as all engines see it: who may attach, which engine has it, and its pages.
final class Region: @unchecked Sendable {
  // Invariant behind @unchecked: `pages` is touched only by the engine whose number `owner` holds
  // (or, before the engines start and after they end, by the thread that made them).

  let configuration: RegionConfiguration
  let incarnation: UInt64
  let pages: UnsafeMutablePointer<RegionPages>
  /// 0: no session; else the number of the engine that has one.
  private let owner = Atomic<Int>(0)
  private let stored = Atomic<Int>(0)
  private let reservedBytes = Atomic<Int>(0)

  init(_ configuration: RegionConfiguration, arena: Arena) throws {
    self.configuration = configuration
    pages = .allocate(capacity: 1)
    do {
      pages.initialize(
        to: try RegionPages(
          configuration.name, slots: configuration.slots, quota: configuration.quota,
          arena: arena, isLinear: configuration.isLinear))
    } catch {
      pages.deallocate()
      throw error
    }
    incarnation = pages.pointee.incarnation
    publish()
  }

  deinit {
    pages.deinitialize(count: 1)
    pages.deallocate()
  }

  func claim(engine: Int) -> Bool {
    owner.compareExchange(expected: 0, desired: engine, ordering: .acquiringAndReleasing).exchanged
  }

  func release() {
    publish()
    owner.store(0, ordering: .releasing)
  }

  /// Lets other threads see how full the region is; called by the engine that has it.
  func publish() {
    stored.store(pages.pointee.stored, ordering: .relaxed)
    reservedBytes.store(pages.pointee.reservedBytes, ordering: .relaxed)
  }

  var storedPages: Int { stored.load(ordering: .relaxed) }
  var reserved: Int { reservedBytes.load(ordering: .relaxed) }

  /// Does the request show what this region asks for?
  func admits(_ request: AttachRequest, from client: ClientAddress) -> Bool {
    if let token = configuration.token, !token.matches(request.token) { return false }
    return configuration.clients.isEmpty || configuration.clients.contains(client)
  }
}
