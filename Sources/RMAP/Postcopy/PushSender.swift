// SPDX-License-Identifier: Apache-2.0
import CRMAP

/// The server's side of one session's pushes: which are on their way, which come next, and when.
///
/// Pushes are numbered; an acknowledgement names the first number that has not arrived and which of the 63
/// behind it have. What is lost is sent again under its number. Allocates nothing after `init`.
struct PushSender: ~Copyable {
  /// One push: on its way, or arrived a moment ago.
  struct Entry {
    enum State: UInt8 {
      case unused
      case onItsWay
      case arrived
    }
    var state = State.unused
    var attempt: UInt8 = 0
    /// Says that there is nothing more; carries no page.
    var isEnd = false
    var slot: UInt64 = 0
    var sent_ns: UInt64 = 0
    /// Of the session's pace, and of the link's.
    var mark = PushPace.Mark()
    var linkMark = PushPace.Mark()
  }

  /// What an acknowledgement has reported for the first time.
  struct Arrived {
    var count = 0
    /// The link's mark of the one sent last, nil when each was sent more than once.
    var newest: PushPace.Mark?
  }

  /// Slots that are announced this long before they are pushed, so that a client that comes to
  /// wait for one does not ask. About what asking would take: waiting longer would be worse.
  private static let announced_ns: UInt64 = 250_000
  private static let planned = 2...32

  let request: BeginRequest
  var report: TransferReport
  var pace: PushPace
  /// The client can take so many at a time.
  private var granted: Int
  private var rtt = memx_rtt()
  /// How often the timeout has been doubled since a push last told the round trip, and when it last was: RFC 6298, 5.5. A
  /// round trip that has become longer than the timeout would else never be seen, as what is sent twice tells nothing.
  private var backoff: UInt32 = 0
  private var backedOff_ns: UInt64 = 0
  private let entries: UnsafeMutablePointer<Entry>
  /// First number not known to have arrived, and the next to be used.
  private var oldest: UInt32 = 1
  private(set) var next: UInt32 = 1
  private(set) var inFlight = 0
  private var mayHaveLost = false

  /// Slots to be pushed next, in order.
  private let plan: UnsafeMutablePointer<UInt64>
  private(set) var planCount = 0
  /// Bit i: the client knows of `plan[i]`.
  private var announced: UInt64 = 0
  /// What the store has promised, and the client does not know yet.
  var promises = AnnouncementQueue()
  private(set) var hasEnded = false
  /// There was nothing to push, though it was time.
  var isStarved = false

  init(_ request: BeginRequest, session: UInt32, region: Int, limit_bytes_s: UInt64) {
    self.request = request
    report = TransferReport(session: session, region: region, strategy: request.strategy)
    pace = PushPace(limit_bytes_s: limit_bytes_s)
    granted = request.window
    entries = .allocate(capacity: Wire.pushWindow)
    entries.initialize(repeating: Entry(), count: Wire.pushWindow)
    plan = .allocate(capacity: Wire.pushWindow)
  }

  deinit {
    entries.deallocate()
    plan.deallocate()
  }

  private func entry(_ number: UInt32) -> UnsafeMutablePointer<Entry> {
    entries + PushBuffers.index(of: number)
  }

  // MARK: What comes next

  /// How many slots should be planned, as announcements of them make sense for about the time of a fetch.
  var planLength: Int {
    min(max(pace.pages(in: Self.announced_ns), Self.planned.lowerBound), Self.planned.upperBound)
  }

  var planHasRoom: Bool { planCount < Wire.pushWindow }

  mutating func enqueue(_ slot: UInt64) {
    plan[planCount] = slot
    announced &= ~(1 << UInt64(planCount))
    planCount += 1
  }

  mutating func dequeue() -> UInt64 {
    let slot = plan[0]
    removePlanned(at: 0)
    return slot
  }

  private mutating func removePlanned(at index: Int) {
    planCount -= 1
    (plan + index).update(from: plan + index + 1, count: planCount - index)
    let below: UInt64 = (1 << UInt64(index)) - 1
    announced = announced & below | announced >> 1 & ~below
  }

  /// Takes a slot out of the plan, because it is fetched; false when it is not there.
  mutating func withdraw(_ slot: UInt64) -> Bool {
    guard let index = (0..<planCount).first(where: { plan[$0] == slot }) else { return false }
    removePlanned(at: index)
    return true
  }

  /// What was promised, or else the first planned slots that follow one another and have not been announced yet.
  mutating func announce() -> Announcement {
    if let promise = promises.removeFirst() { return promise }
    return announce(from: (~announced).trailingZeroBitCount) ?? .nothing
  }

  private func isAnnounced(_ index: Int) -> Bool { announced >> UInt64(index) & 1 == 1 }

  /// The planned slots that follow one another from a place in the plan on; nil at its end.
  mutating func announce(from first: Int) -> Announcement? {
    guard first < planCount else { return nil }
    var count = 1
    let step = first + 1 < planCount && plan[first + 1] < plan[first] ? -1 : 1
    while first + count < planCount, count < Wire.maxAnnounced, !isAnnounced(first + count),
      Int64(plan[first + count]) == Int64(plan[first]) + Int64(count * step)
    {
      count += 1
    }
    for index in first..<first + count { announced |= 1 << UInt64(index) }
    return Announcement(first: plan[first], count: count == 1 ? 1 : count * step)
  }

  // MARK: Sending

  /// May a page be sent now?
  func maySend(now_ns: UInt64) -> Bool { hasRoom && now_ns >= pace.nextSend_ns }

  /// May one more page be on its way?
  var hasRoom: Bool {
    inFlight < min(granted, pace.window) && next &- oldest < UInt32(Wire.pushWindow)
  }

  /// Has nothing been sent that is not known to have arrived?
  var isIdle: Bool { inFlight == 0 }

  /// Notes a new push; returns its number.
  mutating func send(
    _ slot: UInt64, isEnd: Bool = false, linkMark: PushPace.Mark, now_ns: UInt64
  ) -> UInt32 {
    let number = next
    next &+= 1
    var new = Entry()
    new.state = .onItsWay
    new.slot = slot
    new.isEnd = isEnd
    new.sent_ns = now_ns
    new.mark = pace.sent(now_ns: now_ns, inFlight: inFlight)
    new.linkMark = linkMark
    entry(number).pointee = new
    inFlight += 1
    if isEnd { hasEnded = true }
    return number
  }

  /// Is a push of this slot on its way, or has one just arrived?
  func covers(_ slot: UInt64) -> Bool {
    (0..<Wire.pushWindow).contains {
      entries[$0].state != .unused && entries[$0].slot == slot && !entries[$0].isEnd
    }
  }

  /// A push that is to be sent again: one that later ones have overtaken, or whose timeout is over. Notes that it is
  /// sent.
  mutating func nextLost(now_ns: UInt64) -> (number: UInt32, entry: Entry)? {
    guard inFlight > 0, mayHaveLost || now_ns >= timeout_ns else { return nil }
    var number = oldest
    while number != next {
      let at = entry(number)
      let isLate = now_ns &- at.pointee.sent_ns >= rtoOf(at.pointee.attempt)
      if at.pointee.state == .onItsWay,
        isLate || memx_rtt_overtaken(&rtt, at.pointee.sent_ns) != 0
      {
        if isLate, at.pointee.attempt == 0, at.pointee.sent_ns >= backedOff_ns {
          backoff += 1
          backedOff_ns = now_ns
        }
        at.pointee.sent_ns = now_ns
        if at.pointee.attempt < .max { at.pointee.attempt += 1 }
        report.retransmitted += 1
        return (number, at.pointee)
      }
      number &+= 1
    }
    mayHaveLost = false
    return nil
  }

  /// When the oldest push on its way counts as lost at the latest.
  var timeout_ns: UInt64 {
    guard inFlight > 0 else { return .max }
    let first = entry(oldest).pointee
    return first.sent_ns + rtoOf(first.attempt)
  }

  private func rtoOf(_ attempt: UInt8) -> UInt64 {
    withUnsafePointer(to: rtt) { memx_rto_ns($0, UInt32(attempt) + backoff) }
  }

  /// When there is something to do at the latest, if nothing arrives before.
  var due_ns: UInt64 {
    hasRoom && !hasEnded && !isStarved ? min(pace.nextSend_ns, timeout_ns) : timeout_ns
  }

  // MARK: Receiving

  /// Takes in an acknowledgement; nil when it cannot be one.
  ///
  /// - Parameters:
  ///   - first: the first number that has not arrived.
  ///   - behind: bit i is set when number `first` + 1 + i has.
  mutating func acknowledged(
    first: UInt32, behind: UInt64, credits: Int, unused: UInt32, now_ns: UInt64
  ) -> Arrived? {
    guard Int32(bitPattern: next &- first) >= 0, (1...Wire.pushWindow).contains(credits) else {
      return nil
    }
    granted = credits
    report.alreadyThere = max(report.alreadyThere, UInt64(unused))
    var count = 0
    var newest: Entry?
    var number = oldest
    while number != next {
      let distance = Int32(bitPattern: number &- first)
      let isThere =
        distance < 0 || distance > 0 && distance <= 64 && behind >> UInt64(distance - 1) & 1 == 1
      let at = entry(number)
      if isThere, at.pointee.state == .onItsWay {
        at.pointee.state = .arrived
        inFlight -= 1
        if at.pointee.isEnd { report.isComplete = true } else { report.pushed += 1 }
        count += 1
        if at.pointee.attempt == 0 {
          memx_rtt_sample(&rtt, at.pointee.sent_ns, now_ns)
          backoff = 0
          newest = at.pointee
        }
      }
      number &+= 1
    }
    while oldest != next, entry(oldest).pointee.state == .arrived { oldest &+= 1 }
    if count > 0 {
      pace.arrived(count: count, newest: newest?.mark, inFlight: inFlight, now_ns: now_ns)
      mayHaveLost = inFlight > 0
    }
    return Arrived(count: count, newest: newest?.linkMark)
  }
}
