// SPDX-License-Identifier: Apache-2.0
import PageStore
import RMAP
import Synchronization

/// A region as all engines see it: who may attach, which engine has it, and its pages.
final class Region: @unchecked Sendable {
  // Invariant behind @unchecked: `pages` is touched only by the engine whose number `owner` holds
  // (or, before the engines start and after they end, by the thread that made them).

  /// Where the region's pages are.
  enum Pages {
    case arena(UnsafeMutablePointer<RegionPages>)
    case foreign(UnsafeMutablePointer<ForeignPages>)
  }

  let configuration: RegionConfiguration
  let incarnation: UInt64
  let pages: Pages
  /// The Xen domain whose frames hold the pages; nil for a region in the arena.
  let domain: Int?
  /// 0: no session; -1: withdrawn for good; else the number of the engine that has one.
  private let owner = Atomic<Int>(0)
  private let withdrawn = Atomic<Bool>(false)
  private let stored = Atomic<Int>(0)
  private let reservedBytes = Atomic<Int>(0)
  private let postcopies = Mutex(Postcopies())

  init(_ configuration: RegionConfiguration, arena: Arena) throws {
    self.configuration = configuration
    domain = nil
    let pages = UnsafeMutablePointer<RegionPages>.allocate(capacity: 1)
    do {
      pages.initialize(
        to: try RegionPages(
          configuration.name, slots: configuration.slots, quota: configuration.quota,
          arena: arena, isLinear: configuration.isLinear))
    } catch {
      pages.deallocate()
      throw error
    }
    self.pages = .arena(pages)
    incarnation = pages.pointee.incarnation
    publish()
  }

  init(_ configuration: RegionConfiguration, foreign: consuming ForeignPages) {
    self.configuration = configuration
    (domain, incarnation) = (foreign.domain, foreign.incarnation)
    let pages = UnsafeMutablePointer<ForeignPages>.allocate(capacity: 1)
    pages.initialize(to: foreign)
    self.pages = .foreign(pages)
    publish()
  }

  deinit {
    switch pages {
    case .arena(let pages):
      pages.deinitialize(count: 1)
      pages.deallocate()
    case .foreign(let pages):
      pages.deinitialize(count: 1)
      pages.deallocate()
    }
  }

  func claim(engine: Int) -> Bool {
    let (exchanged, _) = owner.compareExchange(
      expected: 0, desired: engine, ordering: .sequentiallyConsistent)
    guard exchanged else { return false }
    guard !isWithdrawn else {
      owner.store(0, ordering: .releasing)
      return false
    }
    return true
  }

  func release() {
    publish()
    owner.store(0, ordering: .releasing)
  }

  /// Keeps engines from claiming the region; the one that has it gives it back soon.
  ///
  /// - Returns: whether no engine has it, nor ever will again.
  func withdraw() -> Bool {
    withdrawn.store(true, ordering: .sequentiallyConsistent)
    let (exchanged, original) = owner.compareExchange(
      expected: 0, desired: -1, ordering: .sequentiallyConsistent)
    return exchanged || original == -1
  }

  var isWithdrawn: Bool { withdrawn.load(ordering: .sequentiallyConsistent) }

  /// Lets other threads see how full the region is; called by the engine that has it.
  func publish() {
    switch pages {
    case .arena(let pages):
      stored.store(pages.pointee.stored, ordering: .relaxed)
      reservedBytes.store(pages.pointee.reservedBytes, ordering: .relaxed)
    case .foreign(let pages):
      stored.store(pages.pointee.stored, ordering: .relaxed)
    }
  }

  /// Takes in how far the post-copy under way has come.
  func note(_ transfer: TransferReport) {
    postcopies.withLock { $0.current = transfer }
  }

  /// Takes in the figures of a post-copy that has ended.
  func noteEnd(_ transfer: TransferReport) {
    postcopies.withLock { $0.end(transfer) }
  }

  var storedPages: Int { stored.load(ordering: .relaxed) }
  var reserved: Int { reservedBytes.load(ordering: .relaxed) }

  /// How far its pages have moved.
  var progress: RegionProgress {
    let isAttached = owner.load(ordering: .relaxed) > 0
    return postcopies.withLock { $0.progress(stored: storedPages, isAttached: isAttached) }
  }

  /// Does the request show what this region asks for?
  func admits(_ request: AttachRequest, from client: ClientAddress) -> Bool {
    if let token = configuration.token, !token.matches(request.token) { return false }
    return configuration.clients.isEmpty || configuration.clients.contains(client)
  }
}
