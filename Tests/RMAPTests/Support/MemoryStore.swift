// SPDX-License-Identifier: Apache-2.0
import RMAP

/// A region store in memory that checks its caller: see `MemoryStoreState.violations`.
///
/// The state is shared, so a test can look into the store that a server owns, and a server that
/// is started again can be given the store of the one before.
struct MemoryStore: RegionStore {
  let state: MemoryStoreState

  func find(_ request: AttachRequest, from peer: MACAddress) -> Result<RegionGrant, Refusal> {
    state.find(request, from: peer)
  }
  func claim(_ region: Int) -> Bool { state.claim(region) }
  func release(_ region: Int) { state.release(region) }
  func settle(_ region: Int, incarnation: UInt64) -> Result<Bool, Refusal> {
    state.settle(region, incarnation: incarnation)
  }
  func load(_ region: Int, slot: UInt64) -> StoredPage { state.load(region, slot: slot) }
  func stage(_ region: Int, slot: UInt64) -> StagedPage? { state.stage(region, slot: slot) }
  func commit(_ region: Int, slot: UInt64, page: StagedPage, hashes: PageHashes) {
    state.commit(region, slot: slot, page: page, hashes: hashes)
  }
  func abandon(_ region: Int, page: StagedPage) { state.abandon(region, page: page) }
  func clear(_ region: Int, slot: UInt64, count: Int) {
    state.clear(region, slot: slot, count: count)
  }
  func status(_ region: Int) -> RegionStatus { state.status(region) }
  func hint(_ region: Int, place: Int, extents: UnsafeRawBufferPointer) {
    state.hint(region, place: place, extents: extents)
  }
  func have(_ region: Int, from first: UInt64, bitmap: UnsafeRawBufferPointer) {
    state.have(region, from: first, bitmap: bitmap)
  }
  func begin(_ region: Int, _ request: BeginRequest) -> Result<Transfer, Refusal> {
    state.begin(region, request)
  }
  func isInTransfer(_ region: Int) -> Bool { state.regions[region].transfer != nil }
  func fault(_ region: Int, slot: UInt64, context: UInt32, wasPlanned: Bool) -> Announcement? {
    state.fault(region, slot: slot)
    return nil
  }
  func nextPush(_ region: Int) -> (slot: UInt64, promise: Announcement?)? {
    state.nextPush(region).map { ($0, nil) }
  }
  func remaining(_ region: Int) -> Int { state.remaining(region) }
  func endTransfer(_ region: Int, _ report: TransferReport?) { state.endTransfer(region) }
  func note(_ event: ServerEvent) {
    if case .disconnected(_, _, let reason) = event { state.disconnectReasons.append(reason) }
  }
}

/// The pages of a `MemoryStore`, and what its caller did wrong.
final class MemoryStoreState {
  struct Region {
    var name: RegionName
    var token = Token.none
    /// Addresses that may attach; empty: all.
    var clients: Set<MACAddress> = []
    var slots: UInt64
    /// The most pages that may be stored or being gathered, but for one a tag that replaces another.
    var quota: Int = .max
    fileprivate(set) var claimed = false
    fileprivate(set) var incarnation: UInt64 = 0
    fileprivate(set) var lost = false
    fileprivate(set) var pages: [UInt64: Stored] = [:]
    /// Slots cleared while `lost` is set: zeros, not lost.
    fileprivate(set) var cleared: Set<UInt64> = []
    /// What a client has said of its post-copy.
    fileprivate(set) var transfer: TransferState?
    /// Pages being gathered that will not replace another.
    fileprivate(set) var growing = 0

    init(
      _ name: String, slots: UInt64, token: Token = .none, clients: Set<MACAddress> = [],
      quota: Int = .max
    ) {
      self.name = RegionName(name)!
      self.slots = slots
      self.token = token
      self.clients = clients
      self.quota = quota
    }
  }

  struct TransferState {
    var had: Set<UInt64> = []
    var order: [Int: Extent] = [:]
    /// Slots to push, ascending; nil before BEGIN.
    var pending: [UInt64]?
  }

  struct Stored {
    var frame: UInt32
    var hashes: PageHashes
  }

  private enum Use: Equatable {
    case free
    case staged(region: Int, slot: UInt64, grows: Bool)
    case stored
    /// Replaced or cleared, and perhaps in a reply that has not been sent yet.
    case retired
  }

  private(set) var regions: [Region]
  private var frames: [UnsafeMutableRawPointer] = []
  private var uses: [Use] = []
  private var freeFrames: [UInt32] = []
  private var retired: [UInt32] = []
  /// What the caller did that it must not.
  private(set) var violations: [String] = []
  /// Pages stored and slots cleared by WRITE or DISCARD.
  private(set) var commits = 0
  private(set) var clears = 0
  /// Why connections ended that had a session.
  var disconnectReasons: [String] = []
  private var isDemandOnly = false
  /// The most frames that were ever in use at once.
  private(set) var peakFrames = 0

  init(_ regions: [Region], incarnation: UInt64 = 1) {
    self.regions = regions
    for index in regions.indices { self.regions[index].incarnation = incarnation }
  }

  deinit {
    for frame in frames { frame.deallocate() }
  }

  private func violated(_ what: String) {
    if violations.count < 20 { violations.append(what) }
  }

  // MARK: What the server calls

  func find(_ request: AttachRequest, from peer: MACAddress) -> Result<RegionGrant, Refusal> {
    guard let index = regions.firstIndex(where: { $0.name == request.region }) else {
      return .failure(Refusal(.noRegion))
    }
    let region = regions[index]
    guard region.token.matches(request.token),
      region.clients.isEmpty || region.clients.contains(peer)
    else { return .failure(Refusal(.denied)) }
    return .success(
      RegionGrant(region: index, slots: region.slots, incarnation: region.incarnation))
  }

  func claim(_ region: Int) -> Bool {
    if regions[region].claimed { violated("region \(region) claimed twice") }
    regions[region].claimed = true
    return true
  }

  func release(_ region: Int) {
    if !regions[region].claimed { violated("region \(region) released without a claim") }
    if uses.contains(where: {
      if case .staged(region, _, _) = $0 { true } else { false }
    }) {
      violated("region \(region) released with pages being gathered")
    }
    regions[region].claimed = false
  }

  func settle(_ region: Int, incarnation: UInt64) -> Result<Bool, Refusal> {
    if !regions[region].claimed { violated("region \(region) settled without a claim") }
    if incarnation == 0 {
      if regions[region].pages.isEmpty {
        regions[region].lost = false
        regions[region].cleared = []
      }
      return .success(false)
    }
    guard incarnation != regions[region].incarnation else { return .success(false) }
    guard regions[region].pages.isEmpty else { return .failure(Refusal(.lost)) }
    regions[region].lost = true
    return .success(true)
  }

  private func check(_ region: Int, slot: UInt64, _ what: String) {
    if !regions[region].claimed { violated("\(what) in region \(region) without a claim") }
    if slot >= regions[region].slots { violated("\(what) of slot \(slot), past the end") }
  }

  func load(_ region: Int, slot: UInt64) -> StoredPage {
    check(region, slot: slot, "load")
    if let page = regions[region].pages[slot] {
      return .page(UnsafeRawPointer(frames[Int(page.frame)]), page.hashes)
    }
    return regions[region].lost && !regions[region].cleared.contains(slot) ? .lost : .zeros
  }

  func stage(_ region: Int, slot: UInt64) -> StagedPage? {
    check(region, slot: slot, "stage")
    let grows = regions[region].pages[slot] == nil
    if grows {
      guard regions[region].pages.count + regions[region].growing < regions[region].quota else {
        return nil
      }
      regions[region].growing += 1
    }
    let frame = takeFrame()
    uses[Int(frame)] = .staged(region: region, slot: slot, grows: grows)
    return StagedPage(bytes: frames[Int(frame)], frame: frame)
  }

  func commit(_ region: Int, slot: UInt64, page: StagedPage, hashes: PageHashes) {
    check(region, slot: slot, "commit")
    guard case .staged(region, slot, let grows) = uses[Int(page.frame)] else {
      return violated("commit to slot \(slot) of a page that was not staged for it")
    }
    if grows { regions[region].growing -= 1 }
    let bytes = UnsafeRawBufferPointer(start: frames[Int(page.frame)], count: Wire.pageBytes)
    if hashes.whole != 0, hashes.whole != payloadHash(bytes) { violated("wrong hash of a page") }
    for fragment in 0..<Wire.fragments where hashes[fragment] != 0 {
      let offset = Wire.fragmentOffset(fragment)
      let part = UnsafeRawBufferPointer(
        rebasing: bytes[offset..<offset + Wire.fragmentLength(fragment)])
      if hashes[fragment] != payloadHash(part) { violated("wrong hash of fragment \(fragment)") }
    }
    uses[Int(page.frame)] = .stored
    if let old = regions[region].pages.updateValue(
      Stored(frame: page.frame, hashes: hashes), forKey: slot)
    {
      retire(old.frame)
    }
    commits += 1
  }

  func abandon(_ region: Int, page: StagedPage) {
    guard case .staged(region, _, let grows) = uses[Int(page.frame)] else {
      return violated("a page was abandoned that was not being gathered")
    }
    if grows { regions[region].growing -= 1 }
    give(page.frame)
  }

  func clear(_ region: Int, slot: UInt64, count: Int) {
    check(region, slot: slot, "clear")
    if count < 1 || slot > regions[region].slots || UInt64(count) > regions[region].slots - slot {
      violated("clear of \(count) slots at \(slot), past the end")
    }
    for cleared in slot..<slot + UInt64(count) {
      if let page = regions[region].pages.removeValue(forKey: cleared) { retire(page.frame) }
      if regions[region].lost { regions[region].cleared.insert(cleared) }
    }
    clears += 1
  }

  func status(_ region: Int) -> RegionStatus {
    RegionStatus(
      slots: regions[region].slots, stored: UInt64(regions[region].pages.count),
      quota: UInt64(regions[region].quota))
  }

  func hint(_ region: Int, place: Int, extents: UnsafeRawBufferPointer) {
    if !regions[region].claimed { violated("hint without a claim") }
    var transfer = regions[region].transfer ?? TransferState()
    for index in 0..<extents.count / Wire.extentBytes {
      transfer.order[place + index] = Extent(extents, at: index)
    }
    regions[region].transfer = transfer
  }

  func have(_ region: Int, from first: UInt64, bitmap: UnsafeRawBufferPointer) {
    check(region, slot: first, "have")
    var transfer = regions[region].transfer ?? TransferState()
    for bit in 0..<bitmap.count * 8 where bitmap[bit / 8] & 1 << UInt8(bit % 8) != 0 {
      transfer.had.insert(first + UInt64(bit))
    }
    regions[region].transfer = transfer
  }

  func begin(_ region: Int, _ request: BeginRequest) -> Result<Transfer, Refusal> {
    if !regions[region].claimed { violated("begin without a claim") }
    guard ["", "push", "demand-only"].contains(request.strategy) else {
      return .failure(Refusal(.noStrategy))
    }
    var transfer = regions[region].transfer ?? TransferState()
    let had = transfer.had
    let pending = regions[region].pages.keys.filter { !had.contains($0) }.sorted()
    transfer.pending = pending
    isDemandOnly = request.strategy == "demand-only"
    regions[region].transfer = transfer
    return .success(
      Transfer(pages: UInt64(pending.count), strategy: "push", limit_bytes_s: 0))
  }

  func fault(_ region: Int, slot: UInt64) {
    check(region, slot: slot, "fault")
    if regions[region].transfer?.pending == nil {
      regions[region].transfer?.had.insert(slot)
    } else {
      regions[region].transfer?.pending?.removeAll { $0 == slot }
    }
  }

  func nextPush(_ region: Int) -> UInt64? {
    guard !isDemandOnly, let first = regions[region].transfer?.pending?.first else { return nil }
    regions[region].transfer?.pending?.removeFirst()
    return first
  }

  func remaining(_ region: Int) -> Int { regions[region].transfer?.pending?.count ?? 0 }

  func endTransfer(_ region: Int) { regions[region].transfer = nil }

  // MARK: What tests call

  /// Puts a page in a slot.
  func put(_ value: UInt64, _ region: Int, slot: UInt64) {
    let frame = takeFrame()
    frames[Int(frame)].copyMemory(from: page(value), byteCount: Wire.pageBytes)
    uses[Int(frame)] = .stored
    regions[region].pages[slot] = Stored(frame: frame, hashes: PageHashes())
  }

  /// The link has been flushed: replies no longer point into the store.
  func flushed() {
    for frame in retired { give(frame) }
    retired.removeAll(keepingCapacity: true)
  }

  /// The server stops without a goodbye. What was being gathered is gone; the rest too unless
  /// the store `survives`.
  func crash(survives: Bool) {
    flushed()
    for frame in frames.indices {
      if case .staged = uses[frame] { give(UInt32(frame)) }
      if !survives, uses[frame] == .stored { give(UInt32(frame)) }
    }
    for region in regions.indices {
      regions[region].claimed = false
      regions[region].transfer = nil
      regions[region].growing = 0
      guard !survives else { continue }
      regions[region].incarnation += 1
      regions[region].pages = [:]
      regions[region].cleared = []
      regions[region].lost = false
    }
  }

  /// Pages being gathered now.
  var staged: Int {
    uses.count { if case .staged = $0 { true } else { false } }
  }

  var claims: Int { regions.count(where: \.claimed) }

  /// The value of the page in a slot; nil when there is none or it is a mixture.
  func value(_ region: Int, slot: UInt64) -> UInt64? {
    regions[region].pages[slot].flatMap { PageContents.value(of: frames[Int($0.frame)]) }
  }

  /// Frames that neither are free nor hold a page that a slot names: leaked.
  var leaked: Int {
    frames.count - freeFrames.count - retired.count - regions.reduce(0) { $0 + $1.pages.count }
      - staged
  }

  // MARK: Frames

  private func takeFrame() -> UInt32 {
    if let frame = freeFrames.popLast() { return frame }
    frames.append(.allocate(byteCount: Wire.pageBytes, alignment: 16))
    uses.append(.free)
    peakFrames = max(peakFrames, frames.count)
    return UInt32(frames.count - 1)
  }

  private func retire(_ frame: UInt32) {
    uses[Int(frame)] = .retired
    retired.append(frame)
  }

  /// Frees a frame, and spoils what is in it, so that nobody reads it unnoticed.
  private func give(_ frame: UInt32) {
    if uses[Int(frame)] == .free { violated("a page was freed twice") }
    uses[Int(frame)] = .free
    frames[Int(frame)].initializeMemory(as: UInt8.self, repeating: 0xDB, count: Wire.pageBytes)
    freeFrames.append(frame)
  }
}
