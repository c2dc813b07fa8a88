// SPDX-License-Identifier: Apache-2.0
import Prepaging
import RMAP
import Transfers

/// The pages of all guests, of which only the slots count: every one has the same contents.
///
/// A guest's region is known by its address. Which slots have been sent is noted, a bit a slot.
struct SimulatedStore: RegionStore, ~Copyable {
  /// Times that a page was sent after the first: repeats of what was lost, and mistakes.
  var resent: UInt64 { resentCount.pointee }

  private let guests: Int
  private let slots: UInt64
  private let page: UnsafeMutableRawPointer
  private let hashes: PageHashes
  private let transfers: UnsafeMutablePointer<UnsafeMutablePointer<RegionTransfer>?>
  private let sent: SlotSet
  private let resentCount: UnsafeMutablePointer<UInt64>

  static func address(of guest: Int) -> MACAddress {
    MACAddress(value: 0x0200_0000_0001 + UInt64(guest))
  }

  static func guest(at address: MACAddress) -> Int { Int(address.value - 0x0200_0000_0001) }

  init(guests: Int, slots: UInt64) {
    self.guests = guests
    self.slots = slots
    page = .allocate(byteCount: Wire.pageBytes, alignment: Wire.pageBytes)
    page.initializeMemory(as: UInt8.self, repeating: 0xA5, count: Wire.pageBytes)
    var hashes = PageHashes()
    hashes.whole = payloadHash(UnsafeRawBufferPointer(start: page, count: Wire.pageBytes))
    for fragment in 0..<Wire.fragments {
      hashes[fragment] = payloadHash(
        UnsafeRawBufferPointer(
          start: page + Wire.fragmentOffset(fragment), count: Wire.fragmentLength(fragment)))
    }
    self.hashes = hashes
    transfers = .allocate(capacity: guests)
    transfers.initialize(repeating: nil, count: guests)
    sent = SlotSet(slots: UInt64(guests) * slots)
    resentCount = .allocate(capacity: 1)
    resentCount.initialize(to: 0)
  }

  deinit {
    for guest in 0..<guests {
      transfers[guest]?.deinitialize(count: 1)
      transfers[guest]?.deallocate()
    }
    transfers.deallocate()
    page.deallocate()
    resentCount.deallocate()
  }

  func find(_ request: AttachRequest, from peer: MACAddress) -> Result<RegionGrant, Refusal> {
    .success(RegionGrant(region: Self.guest(at: peer), slots: slots, incarnation: 1))
  }

  mutating func claim(_ region: Int) -> Bool { true }
  mutating func release(_ region: Int) {}
  mutating func settle(_ region: Int, incarnation: UInt64) -> Result<Bool, Refusal> {
    .success(false)
  }

  func load(_ region: Int, slot: UInt64) -> StoredPage {
    if !sent.insert(UInt64(region) * slots + slot) { resentCount.pointee += 1 }
    return .page(page, hashes)
  }

  // Guests only read.
  mutating func stage(_ region: Int, slot: UInt64) -> StagedPage? { nil }
  mutating func commit(_ region: Int, slot: UInt64, page: StagedPage, hashes: PageHashes) {}
  mutating func abandon(_ region: Int, page: StagedPage) {}
  mutating func clear(_ region: Int, slot: UInt64, count: Int) {
    transfers[region]?.pointee.remove(slot, count: count)
  }
  func status(_ region: Int) -> RegionStatus {
    RegionStatus(slots: slots, stored: slots, quota: slots)
  }

  // MARK: Post-copy

  private mutating func transfer(_ region: Int) -> UnsafeMutablePointer<RegionTransfer> {
    if let transfer = transfers[region] { return transfer }
    let transfer = UnsafeMutablePointer<RegionTransfer>.allocate(capacity: 1)
    transfer.initialize(to: RegionTransfer(slots: slots))
    transfers[region] = transfer
    return transfer
  }

  mutating func hint(_ region: Int, place: Int, extents: UnsafeRawBufferPointer) {
    transfer(region).pointee.hint(place: place, extents: extents)
  }

  mutating func have(_ region: Int, from first: UInt64, bitmap: UnsafeRawBufferPointer) {
    transfer(region).pointee.have(from: first, bitmap: bitmap)
  }

  mutating func begin(_ region: Int, _ request: BeginRequest) -> Result<Transfer, Refusal> {
    guard let strategy = Strategy(request.strategy) else { return .failure(Refusal(.noStrategy)) }
    let all = 0..<Int(slots)
    let pages = transfer(region).pointee.begin(strategy) { $0(all) }
    return .success(
      Transfer(pages: UInt64(pages), strategy: strategy.description, limit_bytes_s: 0))
  }

  func isInTransfer(_ region: Int) -> Bool { transfers[region] != nil }

  mutating func fault(
    _ region: Int, slot: UInt64, context: UInt32, wasPlanned: Bool
  ) -> Announcement? {
    transfers[region]?.pointee.fault(slot, context: context, wasPlanned: wasPlanned)
  }

  mutating func nextPush(_ region: Int) -> (slot: UInt64, promise: Announcement?)? {
    transfers[region]?.pointee.next()
  }

  func remaining(_ region: Int) -> Int { transfers[region]?.pointee.remaining ?? 0 }

  mutating func endTransfer(_ region: Int, _ report: TransferReport?) {
    transfers[region]?.deinitialize(count: 1)
    transfers[region]?.deallocate()
    transfers[region] = nil
  }

  mutating func note(_ event: ServerEvent) {}
}
