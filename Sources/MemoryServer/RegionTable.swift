// SPDX-License-Identifier: Apache-2.0
import Links
import Logging
import PageStore
import Prepaging
import RMAP
import Transfers

/// The regions as one engine serves them: first those of the arena, then the seats of those that come and go.
struct RegionTable: RegionStore, ~Copyable {
  /// Of the seats only those that this engine has.
  private var regions: [Region?]
  private let regionCount: Int
  private let seats: RegionSeats
  /// Regions in the arena, and so the index of the first seat.
  private let arenaCount: Int
  /// What `find` has found last, for `claim`: by then another region may have the seat.
  private var found: Region?
  private let engine: Int
  private var log: EventLog
  /// Over RDMA: whom a connection leads to.
  private let peers: PeerDirectory?
  /// The pages of each region in the arena, so that the page path counts no references.
  private let pages: UnsafeMutablePointer<UnsafeMutablePointer<RegionPages>>
  /// Those of each seat whose region this engine has.
  private let foreign: UnsafeMutablePointer<UnsafeMutablePointer<ForeignPages>?>
  /// Regions that this engine has.
  private let claimed: UnsafeMutablePointer<Bool>
  /// Of these, the ones whose session has ended: given back as soon as no reply points to their pages.
  private let ending: UnsafeMutablePointer<Bool>
  /// Each region's post-copy, if there is one.
  private let transfers: UnsafeMutablePointer<UnsafeMutablePointer<RegionTransfer>?>

  /// - Parameter regions: those in the arena.
  init(
    _ regions: [Region], seats: RegionSeats, engine: Int, logger: Logger,
    peers: PeerDirectory? = nil
  ) {
    self.regions = regions + Array(repeating: nil, count: seats.count)
    self.seats = seats
    arenaCount = regions.count
    regionCount = regions.count + seats.count
    self.engine = engine
    log = EventLog(logger, peers: peers)
    self.peers = peers
    pages = .allocate(capacity: regions.count)
    for (index, region) in regions.enumerated() {
      guard case .arena(let regionPages) = region.pages else { preconditionFailure() }
      (pages + index).initialize(to: regionPages)
    }
    foreign = .allocate(capacity: seats.count)
    foreign.initialize(repeating: nil, count: seats.count)
    claimed = .allocate(capacity: regionCount)
    claimed.initialize(repeating: false, count: regionCount)
    ending = .allocate(capacity: regionCount)
    ending.initialize(repeating: false, count: regionCount)
    transfers = .allocate(capacity: regionCount)
    transfers.initialize(repeating: nil, count: regionCount)
  }

  deinit {
    for index in 0..<regionCount {
      transfers[index]?.deinitialize(count: 1)
      transfers[index]?.deallocate()
    }
    transfers.deallocate()
    pages.deallocate()
    foreign.deallocate()
    claimed.deallocate()
    ending.deallocate()
  }

  mutating func find(
    _ request: AttachRequest, from peer: MACAddress
  ) -> Result<RegionGrant, Refusal> {
    guard let (index, region) = lookUp(request.region), !region.isWithdrawn else {
      return .failure(Refusal(.noRegion))
    }
    guard region.admits(request, from: client(peer)) else { return .failure(Refusal(.denied)) }
    found = region
    return .success(
      RegionGrant(
        region: index, slots: region.configuration.slots, incarnation: region.incarnation))
  }

  private func lookUp(_ name: RegionName) -> (Int, Region)? {
    for index in 0..<arenaCount {
      if let region = regions[index], region.configuration.name == name { return (index, region) }
    }
    return seats.find(name).map { (arenaCount + $0.seat, $0.region) }
  }

  /// A client over RDMA that has a connection more is the same client if it comes from the same host: its former
  /// connection may have ended without a word.
  func isSameClient(_ one: MACAddress, _ other: MACAddress) -> Bool {
    one == other || peers != nil && client(one) == client(other)
  }

  private func client(_ peer: MACAddress) -> ClientAddress {
    peers.flatMap { $0[peer] }.map { .ip($0) } ?? .ethernet(peer)
  }

  mutating func claim(_ index: Int) -> Bool {
    guard let region = found else { return false }
    found = nil
    if ending[index] {
      guard regions[index] === region, !region.isWithdrawn else { return false }
      ending[index] = false
      return true
    }
    guard region.claim(engine: engine) else { return false }
    if case .foreign(let pages) = region.pages {
      regions[index] = region
      foreign[index - arenaCount] = pages
    }
    claimed[index] = true
    return true
  }

  mutating func release(_ region: Int) { ending[region] = true }

  /// A region that this engine has and should give back.
  var withdrawn: Int? {
    (arenaCount..<regionCount).first {
      claimed[$0] && !ending[$0] && regions[$0]?.isWithdrawn == true
    }
  }

  mutating func settle(_ region: Int, incarnation: UInt64) -> Result<Bool, Refusal> {
    if let foreign = foreignPages(region) {
      return foreign.pointee.settle(incarnation: incarnation)
    }
    return pages[region].pointee.settle(incarnation: incarnation)
  }

  /// nil for a region in the arena.
  @inline(__always)
  private func foreignPages(_ region: Int) -> UnsafeMutablePointer<ForeignPages>? {
    region < arenaCount ? nil : foreign[region - arenaCount]
  }

  @inline(__always)
  func load(_ region: Int, slot: UInt64) -> StoredPage {
    if let foreign = foreignPages(region) { return foreign.pointee.load(slot) }
    return pages[region].pointee.load(slot)
  }

  @inline(__always)
  func isReadOnly(_ region: Int) -> Bool { region >= arenaCount }

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
    if let foreign = foreignPages(region) {
      foreign.pointee.clear(slot, count: count)
    } else {
      pages[region].pointee.clear(slot, count: count)
    }
    transfers[region]?.pointee.remove(slot, count: count)
  }

  /// Frames of another domain are no memory that a client could be let at.
  func memory(_ region: Int) -> UnsafeMutableRawBufferPointer? {
    region < arenaCount ? pages[region].pointee.linearMemory : nil
  }

  func status(_ region: Int) -> RegionStatus {
    if let foreign = foreignPages(region) {
      let stored = UInt64(foreign.pointee.stored)
      return RegionStatus(slots: foreign.pointee.slots, stored: stored, quota: stored)
    }
    return RegionStatus(
      slots: pages[region].pointee.slots, stored: UInt64(pages[region].pointee.stored),
      quota: UInt64(pages[region].pointee.quota))
  }

  // MARK: Post-copy

  private mutating func makeTransfer(_ region: Int) -> UnsafeMutablePointer<RegionTransfer> {
    if let transfer = transfers[region] { return transfer }
    let transfer = UnsafeMutablePointer<RegionTransfer>.allocate(capacity: 1)
    let slots = foreignPages(region)?.pointee.slots ?? pages[region].pointee.slots
    transfer.initialize(to: RegionTransfer(slots: slots))
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
    let configuration = regions[region]!.configuration
    let named = request.strategy.isEmpty ? configuration.strategy : Strategy(request.strategy)
    guard let strategy = named else { return .failure(Refusal(.noStrategy)) }
    let transfer = makeTransfer(region)
    let count: Int
    if let foreign = foreignPages(region) {
      count = transfer.pointee.begin(strategy) { foreign.pointee.forEachReadableRun($0) }
    } else {
      let pages = pages[region]
      count = transfer.pointee.begin(strategy) { pages.pointee.forEachStoredRun($0) }
    }
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

  mutating func nextPush(_ region: Int) -> (slot: UInt64, promise: Announcement?)? {
    transfers[region]?.pointee.next()
  }

  /// A page that cannot be read remains: the client must not take it for one that was never stored.
  func remaining(_ region: Int) -> Int {
    (transfers[region]?.pointee.remaining ?? 0) + (foreignPages(region)?.pointee.unreadable ?? 0)
  }

  mutating func endTransfer(_ region: Int, _ report: TransferReport?) {
    if let report { regions[region]?.noteEnd(report) }
    transfers[region]?.deinitialize(count: 1)
    transfers[region]?.deallocate()
    transfers[region] = nil
  }

  mutating func note(_ event: ServerEvent) { log.note(event) }

  /// Frees replaced pages, and gives back regions without a session; every frame that pointed to their
  /// pages has been sent.
  mutating func reclaim() {
    // An attach may have come to nothing; its region must not be kept from going.
    if found != nil { found = nil }
    for index in 0..<regionCount where claimed[index] {
      if index < arenaCount { pages[index].pointee.reclaim() }
      guard ending[index] else { continue }
      ending[index] = false
      claimed[index] = false
      let region = regions[index]
      if index >= arenaCount {
        regions[index] = nil
        foreign[index - arenaCount] = nil
      }
      region?.release()
    }
  }

  /// Lets other threads see how full the regions are, and how far their post-copies have come.
  func publish(_ transfers: [TransferReport]) {
    for transfer in transfers { regions[transfer.region]?.note(transfer) }
    for index in 0..<regionCount where claimed[index] { regions[index]?.publish() }
  }
}
