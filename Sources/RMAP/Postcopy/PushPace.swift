// SPDX-License-Identifier: Apache-2.0

/// How fast pages are pushed: as fast as the network delivers them, and no faster, so that a page that
/// somebody waits for finds no queue in front of it.
///
/// Bandwidth is the greatest rate of delivery seen of late, the round trip the shortest; pushes are
/// spaced at that bandwidth and limited to little more than its product with that round trip. The
/// idea is BBR's (Cardwell et al., "BBR: Congestion-Based Congestion Control", ACM Queue 14(5),
/// 2016), the measuring that of draft-cheng-iccrg-delivery-rate-estimation. Pure: time comes in
/// as nanoseconds of any monotonic clock.
public struct PushPace: Sendable {
  /// What is noted of a push when it is sent, for the sample that its arrival gives.
  public struct Mark: Sendable {
    var sent_ns: UInt64 = 0
    var delivered: UInt64 = 0
    var delivered_ns: UInt64 = 0
    var firstSent_ns: UInt64 = 0
    var fetched: UInt64 = 0
    public init() {}
  }

  /// Doubling the rate each round until it no longer helps; emptying the queue that this made; then
  /// in cycles a little faster, a little slower, and six times at the bandwidth.
  private enum Phase {
    case startup
    case drain
    case cycle(Int)
  }

  private static let leastWindow = 2
  private static let startupGain = 2.0
  private static let cycleGains = [1.25, 0.75, 1, 1, 1, 1, 1, 1]
  /// Rounds that a bandwidth sample counts for, at least; at most twice as many.
  private static let bandwidthRounds = 24
  private static let roundTripSpan_ns: UInt64 = 10_000_000_000
  /// Round trips that are no queue of a few pages: 24 pages of 50 MB/s.
  private static let long_ns: UInt64 = 2_000_000
  /// A link that takes a page in 16 µs.
  private static let fast_bytes_s: UInt64 = 250_000_000
  /// The slack is thought over after so many rounds and so long, at least.
  private static let slackSpan = (rounds: 8, time_ns: UInt64(20_000_000))
  /// How far a late sender may catch up.
  private static let catchUp_ns: UInt64 = 200_000
  /// Until there are samples: 31 pages in 1 ms, a gigabit's worth.
  private static let firstInterval_ns = 32_000.0

  private let limitInterval_ns: Double
  private var phase = Phase.startup
  private var delivered: UInt64 = 0
  private var delivered_ns: UInt64 = 0
  private var firstSent_ns: UInt64 = 0
  /// Greatest rates (pages per nanosecond) of this span of rounds and the one before.
  private var rates = (now: 0.0, before: 0.0)
  private var roundTrips: (now: UInt64, before: UInt64) = (.max, .max)
  private var roundTripSpanEnd_ns: UInt64 = 0
  private var roundEnd: UInt64 = 0
  private var rounds = 0
  private var startupRate = 0.0
  private var flatRounds = 0
  /// The greatest rates of this round, and of the rounds in which the startup brought no more.
  private var roundRate = 0.0
  private var flatRate = 0.0
  /// The shortest round trip of this round.
  private var roundLeast_ns = UInt64.max
  private var next_ns = 0.0
  /// Pages sent because somebody waited for them, and those of them known to have arrived.
  private var fetches: (sent: UInt64, arrived: UInt64) = (0, 0)
  /// Pages that an acknowledgement reports, smoothed.
  private var perAcknowledgement = 1.0
  private var slack = WindowSlack()
  private var slackSpan = SlackSpan()

  /// Since the slack was last thought over.
  private struct SlackSpan {
    var start_ns: UInt64 = 0
    var delivered: UInt64 = 0
    var rounds = 0
    var roundTrips = (sum_ns: UInt64(0), count: UInt64(0))
  }

  /// - Parameter limit_bytes_s: the most bytes of pages in a second, 0 for no limit of its own.
  public init(limit_bytes_s: UInt64 = 0) {
    limitInterval_ns =
      limit_bytes_s == 0 ? 0 : Double(Wire.pageBytes) * 1e9 / Double(limit_bytes_s)
  }

  /// Pages per nanosecond.
  private var rate: Double { max(rates.now, rates.before) }

  /// Shortest round trip of late, nanoseconds; 0 before the first sample.
  public var roundTrip_ns: UInt64 {
    let least = min(roundTrips.now, roundTrips.before)
    return least == .max ? 0 : least
  }

  /// Measured bandwidth, bytes of pages per second; 0 before the first sample.
  public var bandwidth_bytes_s: UInt64 { UInt64(rate * 1e9 * Double(Wire.pageBytes)) }

  private var gain: Double {
    switch phase {
    case .startup: Self.startupGain
    case .drain: 1 / Self.startupGain
    // More on their way would show nothing if they were not sent faster, too.
    case .cycle(let step): slack.triesMore ? Self.startupGain : Self.cycleGains[step]
    }
  }

  /// Pages that may be pushed and on their way at a time.
  ///
  /// What somebody has asked for takes its place among them; but two are always allowed, for else
  /// programs that ask without end would wait without end for what they were promised. Slack comes on top of those two,
  /// or trying twice as many would try nothing.
  public var window: Int {
    let pages = max(Self.leastWindow, pagesOfBandwidth - Int(fetches.sent - fetches.arrived))
    return min(Wire.pushWindow, pages + slack.pages)
  }

  /// How many that is without slack, and without what was asked for.
  private var pagesOfBandwidth: Int {
    guard rate > 0, roundTrip_ns > 0 else { return Self.leastWindow }
    let product = rate * Double(roundTrip_ns)
    switch phase {
    case .startup:
      // The first rates may be those at which a bucket empties: twice the window a round, no more.
      let pages = max(Self.leastWindow, Int(product * Self.startupGain) + 1)
      return min(Wire.pushWindow, pages, 2 << min(rounds, 5))
    // Acknowledgements that come in bunches would leave the network idle between them.
    default:
      let pages = product * 1.25 + 0.75 + (perAcknowledgement - 1)
      return min(Wire.pushWindow, max(Self.leastWindow, Int(pages.rounded())))
    }
  }

  /// How many pages go in a frame that has room for more.
  ///
  /// On a slow link one that somebody waits for would wait for both of a frame's. But where more on their way arrived faster
  /// it is no link that is slow: each frame takes processors' time on the way, and two pages in one take half as much.
  public var pagesPerFrame: Int {
    bandwidth_bytes_s >= Self.fast_bytes_s || slack.pages > 0 ? 2 : 1
  }

  /// Pages that the network delivers in `time_ns`, as measured.
  public func pages(in time_ns: UInt64) -> Int { Int(rate * Double(time_ns)) }

  /// When the next page may be sent.
  public var nextSend_ns: UInt64 { UInt64(max(0, next_ns)) }

  /// Notes that a page is sent now.
  ///
  /// - Parameter inFlight: pages on their way, without this one.
  public mutating func sent(now_ns: UInt64, inFlight: Int) -> Mark {
    if inFlight == 0 {
      // No push tells how long ago they came.
      fetchesArrived(fetches.sent)
      firstSent_ns = now_ns
      delivered_ns = now_ns
    }
    var interval_ns = rate > 0 ? 1 / (rate * gain) : Self.firstInterval_ns
    interval_ns = max(interval_ns, limitInterval_ns)
    next_ns = max(next_ns, Double(now_ns) - Double(Self.catchUp_ns)) + interval_ns
    var mark = Mark()
    mark.sent_ns = now_ns
    mark.delivered = delivered
    mark.delivered_ns = delivered_ns
    mark.firstSent_ns = firstSent_ns
    mark.fetched = fetches.sent
    return mark
  }

  /// Notes that a page is sent now because somebody waits for it.
  public mutating func fetched() { fetches.sent += 1 }

  /// Takes in the arrival of pages that one acknowledgement reports.
  ///
  /// - Parameters:
  ///   - count: pages that it reports for the first time.
  ///   - newest: the mark of the one sent last; nil when that was sent more than once.
  ///   - inFlight: pages still on their way.
  public mutating func arrived(count: Int, newest: Mark?, inFlight: Int, now_ns: UInt64) {
    delivered += UInt64(count)
    delivered_ns = now_ns
    perAcknowledgement += (Double(count) - perAcknowledgement) / 8
    guard let mark = newest else { return }
    // Pages come in the order in which they were sent: those fetched before this push have come, too.
    fetchesArrived(mark.fetched)
    firstSent_ns = mark.sent_ns
    noteRoundTrip(now_ns &- mark.sent_ns, now_ns: now_ns)
    let elapsed_ns = max(now_ns &- mark.delivered_ns, mark.sent_ns &- mark.firstSent_ns)
    // What came within less than a round trip says how acknowledgements bunch, not how fast the link is.
    if elapsed_ns > 0, elapsed_ns >= roundTrip_ns {
      let sample = Double(delivered - mark.delivered) / Double(elapsed_ns)
      rates.now = max(rates.now, sample)
      roundRate = max(roundRate, sample)
    }
    if mark.delivered >= roundEnd { endRound(inFlight: inFlight, now_ns: now_ns) }
    if case .drain = phase, Double(inFlight) <= rate * Double(roundTrip_ns) { phase = .cycle(2) }
  }

  private mutating func fetchesArrived(_ count: UInt64) {
    guard count > fetches.arrived else { return }
    delivered += count - fetches.arrived
    fetches.arrived = count
  }

  private mutating func noteRoundTrip(_ roundTrip_ns: UInt64, now_ns: UInt64) {
    roundLeast_ns = min(roundLeast_ns, roundTrip_ns)
    slackSpan.roundTrips.sum_ns += roundTrip_ns
    slackSpan.roundTrips.count += 1
    if now_ns >= roundTripSpanEnd_ns {
      roundTrips = (.max, roundTrips.now)
      roundTripSpanEnd_ns = now_ns + Self.roundTripSpan_ns
    }
    roundTrips.now = min(roundTrips.now, roundTrip_ns)
  }

  /// Whether every page of this round found two others in front of it and more: no need to fill the link any further.
  private var hasQueue: Bool {
    roundRate > 0 && Double(roundLeast_ns) > Double(2 * roundTrip_ns) + 2 / roundRate
  }

  private mutating func endRound(inFlight: Int, now_ns: UInt64) {
    roundEnd = delivered
    rounds += 1
    if rounds % Self.bandwidthRounds == 0 { rates = (0, max(rates.now, 0)) }
    switch phase {
    case .startup:
      if rate > startupRate * 1.25, !hasQueue {
        startupRate = rate
        (flatRounds, flatRate) = (0, 0)
      } else {
        flatRounds += 1
        flatRate = max(flatRate, roundRate)
        if flatRounds == 3 || hasQueue {
          phase = .drain
          // By now the link is full. What came before may have found its buckets full of tokens.
          if flatRate > 0 { rates = (flatRate, 0) }
        }
      }
    case .drain: break
    case .cycle(let step):
      phase = .cycle((step + 1) % Self.cycleGains.count)
      endSlackSpan(now_ns: now_ns)
    }
    (roundRate, roundLeast_ns) = (0, .max)
  }

  private mutating func endSlackSpan(now_ns: UInt64) {
    slackSpan.rounds += 1
    let time_ns = now_ns &- slackSpan.start_ns
    let least = Self.slackSpan
    guard slackSpan.rounds >= least.rounds, time_ns >= least.time_ns else { return }
    // The first span begins with the first round of a cycle.
    if slackSpan.start_ns > 0 {
      let roundTrips = slackSpan.roundTrips
      slack.spanEnded(
        throughput: Double(delivered - slackSpan.delivered) / Double(time_ns),
        window: pagesOfBandwidth + slack.pages,
        isSlow: roundTrips.sum_ns > roundTrips.count * Self.long_ns, most: Wire.pushWindow)
    }
    slackSpan = SlackSpan()
    slackSpan.start_ns = now_ns
    slackSpan.delivered = delivered
  }
}
