// SPDX-License-Identifier: Apache-2.0
import CRMAP

/// The client's side of one session: requests, bytes and time in; messages and completions out.
///
/// Does no I/O, reads no clock, and allocates nothing after `init`. PROTOCOL.md gives the rules; the
/// section numbers below are its. The module in `kmod/` does the same in the kernel.
public struct ClientSession: ~Copyable {
  /// Where the session is.
  public enum State: Sendable, Equatable {
    /// Asking the server for a session, for the first time or again.
    case attaching
    case live
    /// The server refused the first attach; nothing more happens.
    case refused(Status)
    case detached
  }

  /// What a request asks for.
  public enum Operation: UInt8, Sendable {
    case read = 0x02
    case write = 0x03
    case discard = 0x04
    case flush = 0x05
    case hint = 0x09
    case have = 0x0A
    case begin = 0x0B
    case end = 0x0E
    case window = 0x0F
  }

  enum Phase: UInt8 {
    case free
    case queued
    case sent
  }

  struct Pending {
    var phase = Phase.free
    var operation = Operation.read
    var attempt: UInt8 = 0
    /// READ: fragments still to come.
    var missing: UInt8 = 0
    /// Of a payload other than a page.
    var length: UInt16 = 0
    /// Neighbours in the order of sending; `end` at the ends.
    var previous: UInt16 = 0
    var next: UInt16 = 0
    var generation: UInt32 = 0
    var count: UInt32 = 0
    var slot: UInt64 = 0
    var buffer: UnsafeMutableRawPointer?
    var request: UInt64 = 0
    var submitted_ns: UInt64 = 0
    /// When the latest attempt was sent.
    var sent_ns: UInt64 = 0
    /// When the first was, once there is another.
    var firstSent_ns: UInt64 = 0
  }

  public internal(set) var state = State.attaching
  public internal(set) var counters = ClientCounters()
  /// What the server granted; nil before the first attach has succeeded.
  public internal(set) var grant: AttachReply?
  /// The server's address, once it is known.
  public internal(set) var server: MACAddress
  /// Of the store that the client's data is in; 0 before the first attach.
  public internal(set) var incarnation: UInt64 = 0

  let configuration: ClientConfiguration
  let table: UnsafeMutablePointer<Pending>
  let freeTags: UnsafeMutablePointer<UInt16>
  var freeCount: Int
  let queue: UnsafeMutablePointer<UInt16>
  var queueHead = 0
  var queueCount = 0
  static var end: UInt16 { UInt16.max }
  var oldest = ClientSession.end
  var newest = ClientSession.end
  var inFlight = 0
  var sessionID: UInt32 = 0
  var credits = 0
  var rtt = memx_rtt()
  var attachID: UInt64
  var attachAttempt = 0
  /// What tells the reply to this attach, a refusal too, from late ones to those before it.
  var attachGeneration: UInt32 { UInt32(truncatingIfNeeded: attachID) }
  var nextAttach_ns: UInt64 = 0
  var lastSent_ns: UInt64 = 0
  var nextScan_ns: UInt64 = 0
  /// Where fragments of reads without a buffer are put together, a page a tag; made when a session is to have
  /// fragments.
  var assembly: UnsafeMutableRawPointer?
  var reads = 0
  var pushes = PushReceiver()
  /// Pages that the server was to move when post-copy began; nil before.
  public internal(set) var begun: UInt64?
  /// What the server lets this session reach directly; nil before it was asked, by `.window`.
  public internal(set) var window: MemoryWindow?
  var mtu: Int
  let capacity: Int

  public init(_ configuration: ClientConfiguration) {
    self.configuration = configuration
    capacity = configuration.queueDepth
    server = configuration.server
    attachID = configuration.attachID
    mtu = configuration.mtu
    table = .allocate(capacity: capacity)
    table.initialize(repeating: Pending(), count: capacity)
    freeTags = .allocate(capacity: capacity)
    queue = .allocate(capacity: capacity)
    freeCount = capacity
    for tag in 0..<capacity { freeTags[tag] = UInt16(capacity - 1 - tag) }
  }

  deinit {
    table.deallocate()
    freeTags.deallocate()
    queue.deallocate()
    assembly?.deallocate()
  }

  /// Requests submitted and not completed.
  public var outstanding: Int { capacity - freeCount }

  /// Has `submit` room for another request?
  public var hasRoom: Bool { freeCount > 0 }

  /// The smoothed round-trip time in nanoseconds, 0 before the first answer.
  public var srtt_ns: UInt64 { rtt.srtt_ns }

  // MARK: Requests

  /// Takes a request in; `poll` sends it.
  ///
  /// - Parameters:
  ///   - operation: what to do.
  ///   - slot: the first slot.
  ///   - count: slots to discard; of a read, which thread of control waits for it, 0 when not known; of
  ///     a hint, the place of its first extent.
  ///   - buffer: 4,096 bytes that stay in place, and for a write unchanged, until completion; nil has a
  ///     page that is read given to `arrived`.
  ///   - length: bytes in the buffer of a hint, have, begin or end: these have a payload that is no page.
  ///   - request: comes back with the completion.
  ///   - now_ns: of any monotonic clock, the same for every call.
  /// - Returns: false when as many requests as the queue depth are outstanding.
  public mutating func submit(
    _ operation: Operation, slot: UInt64, count: UInt32 = 0, buffer: UnsafeMutableRawPointer?,
    length: Int = 0, request: UInt64, now_ns: UInt64
  ) -> Bool {
    guard freeCount > 0 else { return false }
    freeCount -= 1
    let tag = freeTags[freeCount]
    let at = table + Int(tag)
    at.pointee.phase = .queued
    at.pointee.operation = operation
    at.pointee.slot = slot
    at.pointee.count = count
    at.pointee.length = UInt16(length)
    at.pointee.buffer = buffer
    at.pointee.request = request
    at.pointee.submitted_ns = now_ns
    at.pointee.attempt = 0
    at.pointee.missing = operation == .read ? Wire.allFragments : 0
    at.pointee.generation &+= 1
    if operation == .read { reads += 1 }
    enqueue(tag)
    return true
  }

  mutating func enqueue(_ tag: UInt16) {
    queue[(queueHead + queueCount) % capacity] = tag
    queueCount += 1
  }

  mutating func finish(
    _ tag: UInt16, _ outcome: Outcome, _ completions: inout some CompletionSink & ~Copyable
  ) {
    let at = table + Int(tag)
    if at.pointee.phase == .sent {
      unlink(tag)
      inFlight -= 1
    }
    at.pointee.phase = .free
    if at.pointee.operation == .read { reads -= 1 }
    freeTags[freeCount] = tag
    freeCount += 1
    if outcome == .done { counters.completed += 1 } else { counters.failed += 1 }
    completions.completed(request: at.pointee.request, outcome: outcome)
  }

  // MARK: The list of sent requests, oldest first

  mutating func link(_ tag: UInt16) {
    table[Int(tag)].previous = newest
    table[Int(tag)].next = Self.end
    if newest == Self.end { oldest = tag } else { table[Int(newest)].next = tag }
    newest = tag
  }

  mutating func unlink(_ tag: UInt16) {
    let (previous, next) = (table[Int(tag)].previous, table[Int(tag)].next)
    if previous == Self.end { oldest = next } else { table[Int(previous)].next = next }
    if next == Self.end { newest = previous } else { table[Int(next)].previous = previous }
  }
}
