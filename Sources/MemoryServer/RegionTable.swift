// SPDX-License-Identifier: Apache-2.0
import Links
import Logging
import PageStore
import Prepaging
import RMAP
import Transfers

/// The regions as one engine serves them.
struct RegionTable: RegionStore, ~Copyable {
  private let regions: [Region]
  private let regionCount: Int
  private let engine: Int
  private var log: EventLog
  /// Over RDMA: whom a connection leads to.
  private let peers: PeerDirectory?
  /// Each region's pages, so that the page path counts no references.
  private let pages: UnsafeMutablePointer<UnsafeMutablePointer<RegionPages>>
  /// Regions that this engine has.
  private let claimed: UnsafeMutablePointer<Bool>
  /// Of these, the ones whose session has ended: given back as soon as no reply points to their pages.
  private let ending: UnsafeMutablePointer<Bool>
  /// Each region's post-copy, if there is one.
  private let transfers: UnsafeMutablePointer<UnsafeMutablePointer<RegionTransfer>?>

  init(_ regions: [Region], engine: Int, logger: Logger, peers: PeerDirectory? = nil) {
    self.regions = regions
    regionCount = regions.count
    self.engine = engine
    log = EventLog(logger, peers: peers)
    self.peers = peers
    pages = .allocate(capacity: regions.count)
    for (index, region) in regions.enumerated() {
      (pages + index).initialize(to: region.pages)
    }
    claimed = .allocate(capacity: regions.count)
    claimed.initialize(repeating: false, count: regions.count)
    ending = .allocate(capacity: regions.count)
    ending.initialize(repeating: false, count: regions.count)
    transfers = .allocate(capacity: regions.count)
    transfers.initialize(repeating: nil, count: regions.count)
  }

  deinit {
    for index in 0..<regionCount {
      transfers[index]?.deinitialize(count: 1)
      transfers[index]?.deallocate()
    }
    transfers.deallocate()
    pages.deallocate()
    claimed.deallocate()
    ending.deallocate()
  }

  func find(_ request: AttachRequest, from peer: MACAddress) -> Result<RegionGrant, Refusal> {
    guard
      let index = regions.firstIndex(where: { $0.configuration.name == request.region })
    else { return .failure(Refusal(.noRegion)) }
    let region = regions[index]
    guard region.admits(request, from: client(peer)) else { return .failure(Refusal(.denied)) }
    return .success(
      RegionGrant(
        region: index, slots: region.configuration.slots, incarnation: region.incarnation))
  }

  /// A client over RDMA that has a connection more is the same client if it comes from the same host: its former
  /// connection may have ended without a word.
  func isSameClient(_ one: MACAddress, _ other: MACAddress) -> Bool {
    one == other || peers != nil && client(one) == client(other)
  }

  private func client(_ peer: MACAddress) -> ClientAddress {
    peers.flatMap { $0[peer] }.map { .ip($0) } ?? .ethernet(peer)
  }

  mutating func claim(_ region: Int) -> Bool {
    if ending[region] {
      ending[region] = false
      return true
    }
    guard regions[region].claim(engine: engine) else { return false }
    claimed[region] = true
    return true
  }

  mutating func release(_ region: Int) { ending[region] = true }

  mutating func settle(_ region: Int, incarnation: UInt64) -> Result<Bool, Refusal> {
    pages[region].pointee.settle(incarnation: incarnation)
  }

  @inline(__always)
  func load(_ region: Int, slot: UInt64) -> StoredPage { pages[region].pointee.load(slot) }

  @inline(__always)
  mutating func stage(_ region: Int, slot: UInt64) -> StagedPage? {
    pages[region].pointee.stage(slot)
  }

  @inline(__always)
  mutating func commit(_ region: Int, slot: UInt64, page: StagedPage, hashes: PageHashes) {
    pages[region].pointee.commit(slot, page: page, hashes: hashes)
    transfers[region]?.pointee.remove(slot, count: 1)
  }

  mutating func abandon(_ region: Int, page: StagedPage) { pages[region].pointee.abandon(page) }

  mutating func clear(_ region: Int, slot: UInt64, count: Int) {
    pages[region].pointee.clear(slot, count: count)
    transfers[region]?.pointee.remove(slot, count: count)
  }

  func memory(_ region: Int) -> UnsafeMutableRawBufferPointer? {
    pages[region].pointee.linearMemory
  }

  func status(_ region: Int) -> RegionStatus {
    RegionStatus(
      slots: pages[region].pointee.slots, stored: UInt64(pages[region].pointee.stored),
      quota: UInt64(pages[region].pointee.quota))
  }

  // MARK: Post-copy

  private mutating func makeTransfer(_ region: Int) -> UnsafeMutablePointer<RegionTransfer> {
    if let transfer = transfers[region] { return transfer }
    let transfer = UnsafeMutablePointer<RegionTransfer>.allocate(capacity: 1)
    transfer.initialize(to: RegionTransfer(slots: pages[region].pointee.slots))
    transfers[region] = transfer
    return transfer
  }

  mutating func hint(_ region: Int, place: Int, extents: UnsafeRawBufferPointer) {
    makeTransfer(region).pointee.hint(place: place, extents: extents)
  }

  mutating func have(_ region: Int, from first: UInt64, bitmap: UnsafeRawBufferPointer) {
    makeTransfer(region).pointee.have(from: first, bitmap: bitmap)
  }

  mutating func begin(_ region: Int, _ request: BeginRequest) -> Result<Transfer, Refusal> {
    let configuration = regions[region].configuration
    let named = request.strategy.isEmpty ? configuration.strategy : Strategy(request.strategy)
    guard let strategy = named else { return .failure(Refusal(.noStrategy)) }
    let pages = pages[region]
    let count = makeTransfer(region).pointee.begin(strategy) { pages.pointee.forEachStoredRun($0) }
    return .success(
      Transfer(
        pages: UInt64(count), strategy: strategy.description,
        limit_bytes_s: UInt64(configuration.pushRate_bytes_s ?? 0)))
  }

  @inline(__always)
  func isInTransfer(_ region: Int) -> Bool { transfers[region] != nil }

  mutating func fault(
    _ region: Int, slot: UInt64, context: UInt32, wasPlanned: Bool
  ) -> Announcement? {
    transfers[region]?.pointee.fault(slot, context: context, wasPlanned: wasPlanned)
  }

  mutating func nextPush(_ region: Int) -> UInt64? { transfers[region]?.pointee.next() }

  func remaining(_ region: Int) -> Int { transfers[region]?.pointee.remaining ?? 0 }

  mutating func endTransfer(_ region: Int) {
    transfers[region]?.deinitialize(count: 1)
    transfers[region]?.deallocate()
    transfers[region] = nil
  }

  mutating func note(_ event: ServerEvent) { log.note(event) }

  /// Frees replaced pages, and gives back regions without a session; every frame that pointed to their
  /// pages has been sent.
  mutating func reclaim() {
    for index in 0..<regionCount where claimed[index] {
      pages[index].pointee.reclaim()
      guard ending[index] else { continue }
      ending[index] = false
      claimed[index] = false
      regions[index].release()
    }
  }

  /// Lets other threads see how full the regions are.
  mutating func publish() {
    for index in 0..<regions.count where claimed[index] { regions[index].publish() }
  }
}
