// SPDX-License-Identifier: Apache-2.0

/// Payload hashes of a stored page (XXH64, seed 0), as they came with its WRITE; 0 is unknown.
///
/// With them a page is sent again without being read, and what the client checks is the page
/// as it left the client.
public struct PageHashes: Sendable, Equatable {
  public var whole: UInt64
  public var fragment0: UInt64
  public var fragment1: UInt64
  public var fragment2: UInt64

  @inlinable
  public init(whole: UInt64 = 0, fragments: (UInt64, UInt64, UInt64) = (0, 0, 0)) {
    self.whole = whole
    (fragment0, fragment1, fragment2) = fragments
  }

  /// The hash of one fragment.
  @inlinable
  public subscript(fragment: Int) -> UInt64 {
    get { fragment == 0 ? fragment0 : fragment == 1 ? fragment1 : fragment2 }
    set {
      switch fragment {
      case 0: fragment0 = newValue
      case 1: fragment1 = newValue
      default: fragment2 = newValue
      }
    }
  }
}

/// A page that a WRITE is gathering beside its slot; means nothing outside its store.
public struct StagedPage: Sendable {
  /// Where the page's 4,096 bytes go.
  public var bytes: UnsafeMutableRawPointer { UnsafeMutableRawPointer(bitPattern: address)! }
  /// The store's own name for the page.
  public var frame: UInt32
  @usableFromInline var address: UInt

  @inlinable
  public init(bytes: UnsafeMutableRawPointer, frame: UInt32) {
    address = UInt(bitPattern: bytes)
    self.frame = frame
  }
}

/// What a slot holds.
public enum StoredPage {
  /// A page, which stays where it is until the link has been flushed.
  case page(UnsafeRawPointer, PageHashes)
  case zeros
  /// Gone with an earlier incarnation.
  case lost
  /// There is a page, but the store cannot get at it.
  case unreadable
}

/// A region that a client may attach to, as `RegionStore.find` answers.
public struct RegionGrant: Sendable {
  /// The store's index of the region.
  public var region: Int
  public var slots: UInt64
  public var incarnation: UInt64

  public init(region: Int, slots: UInt64, incarnation: UInt64) {
    self.region = region
    self.slots = slots
    self.incarnation = incarnation
  }
}

/// A post-copy that a store has readied, as `RegionStore.begin` answers.
public struct Transfer: Sendable {
  /// Pages that the client needs.
  public var pages: UInt64
  /// The strategy by its full name.
  public var strategy: String
  /// The most bytes of pages in a second that the region allows, 0 for any number.
  public var limit_bytes_s: UInt64

  public init(pages: UInt64, strategy: String, limit_bytes_s: UInt64) {
    self.pages = pages
    self.strategy = strategy
    self.limit_bytes_s = limit_bytes_s
  }
}

/// What happened in a session that an operator would want to know. None of it is on the page path.
public enum ServerEvent: Sendable {
  case attached(region: RegionName, peer: MACAddress, session: UInt32, mtu: Int, queueDepth: Int)
  case refused(region: RegionName?, peer: MACAddress, status: Status)
  case detached(session: UInt32, peer: MACAddress)
  /// Nothing was heard for the session timeout.
  case expired(session: UInt32, peer: MACAddress)
  /// Its connection has ended.
  case disconnected(session: UInt32, peer: MACAddress, reason: String)
  /// The same client attached again.
  case replaced(session: UInt32, peer: MACAddress)
  /// Malformed or forged traffic, answered with `status` or dropped.
  case faulty(peer: MACAddress, status: Status)
}

/// The regions behind a server: who may attach to which, and their pages.
///
/// `region` below is always an index that `find` gave and `claim` confirmed, `slot` always below the
/// region's number of slots: the session layer has checked both.
public protocol RegionStore: ~Copyable {
  /// Looks the region up and checks token and address.
  mutating func find(_ request: AttachRequest, from peer: MACAddress) -> Result<
    RegionGrant, Refusal
  >
  /// Are these the same client, whose new session takes the place of its own, where another's is refused?
  func isSameClient(_ one: MACAddress, _ other: MACAddress) -> Bool
  /// Takes the region for this server's sessions; false when a server on another link has it.
  mutating func claim(_ region: Int) -> Bool
  /// Gives the region back.
  mutating func release(_ region: Int)
  /// Settles what unwritten slots are for a client that says its data is in `incarnation`.
  ///
  /// - Returns: true when that data is lost; a refusal when, besides, the region holds pages by now,
  ///   which the client would take for its own.
  mutating func settle(_ region: Int, incarnation: UInt64) -> Result<Bool, Refusal>

  func load(_ region: Int, slot: UInt64) -> StoredPage
  /// Are WRITEs of the region refused? DISCARDs are not: they say that a page is no longer needed.
  func isReadOnly(_ region: Int) -> Bool
  /// A page to gather a WRITE in, or nil when quota or memory is used up. `slot` is the one to be
  /// written: a page that replaces another takes nothing from the quota.
  mutating func stage(_ region: Int, slot: UInt64) -> StagedPage?
  /// Makes the staged page the slot's.
  mutating func commit(_ region: Int, slot: UInt64, page: StagedPage, hashes: PageHashes)
  /// Takes back a staged page that is not going to be committed.
  mutating func abandon(_ region: Int, page: StagedPage)
  /// Makes the slots read as zeros, whatever incarnation they were written in.
  mutating func clear(_ region: Int, slot: UInt64, count: Int)
  func status(_ region: Int) -> RegionStatus
  /// The memory of a region whose slots lie one behind the other in registered memory; nil of any other.
  func memory(_ region: Int) -> UnsafeMutableRawBufferPointer?

  // Post-copy: which page goes next is the store's to say.

  /// Puts extents in the client's LRU order, the first of them at `place`; `extents` is the payload of a HINT.
  mutating func hint(_ region: Int, place: Int, extents: UnsafeRawBufferPointer)
  /// The client does not need the slots whose bits are set; bit 0 stands for slot `first`. Bits may
  /// lie behind the region's end.
  mutating func have(_ region: Int, from first: UInt64, bitmap: UnsafeRawBufferPointer)
  /// Readies everything for `nextPush`.
  mutating func begin(_ region: Int, _ request: BeginRequest) -> Result<Transfer, Refusal>
  /// Has the client said something of a post-copy that has not ended?
  func isInTransfer(_ region: Int) -> Bool
  /// A program waits for the slot, which is being sent to it.
  ///
  /// - Parameter wasPlanned: whether `nextPush` has given it out, and it is fetched before it could be pushed.
  /// - Returns: what `nextPush` is certain to give out soon, for that; nil when nothing.
  mutating func fault(
    _ region: Int, slot: UInt64, context: UInt32, wasPlanned: Bool
  ) -> Announcement?
  /// Takes the slot that is to be pushed next, nil when there is none now.
  ///
  /// - Returns: with it, what is certain to come out soon after; nil when nothing that `fault` or `nextPush` has not told.
  mutating func nextPush(_ region: Int) -> (slot: UInt64, promise: Announcement?)?
  /// Slots that have neither been taken nor fetched.
  func remaining(_ region: Int) -> Int
  /// Forgets hints and order; also called without a `begin`, and then without a report.
  mutating func endTransfer(_ region: Int, _ report: TransferReport?)
  mutating func note(_ event: ServerEvent)
}

extension RegionStore where Self: ~Copyable {
  @inlinable
  public func isReadOnly(_ region: Int) -> Bool { false }
  public func isSameClient(_ one: MACAddress, _ other: MACAddress) -> Bool { one == other }
  public func memory(_ region: Int) -> UnsafeMutableRawBufferPointer? { nil }
}

/// Why an ATTACH is not granted.
public struct Refusal: Error, Sendable {
  public var status: Status
  public init(_ status: Status) { self.status = status }
}
