// SPDX-License-Identifier: Apache-2.0

/// How fast pages are pushed: as fast as the network delivers them, and no faster, so that a page that
/// somebody waits for finds about one other in front of it.
///
/// Time is cut into spans of a millisecond or some round trips. In each, two things are measured. The rate at which
/// acknowledgements came is the bandwidth. By how much the shortest round trip of the span exceeds the
/// shortest of late is the queue that stood in the network all the time: jitter and bunching of
/// acknowledgements make most round trips longer, but not the shortest (the idea of Copa: Arun and
/// Balakrishnan, "Copa: Practical Delay-Based Congestion Control for the Internet", NSDI 2018). Pushes are spaced at
/// the bandwidth, less what empties the queue within a span. When none stands there, every second span
/// is a little faster, and as long as that delivers more, each is faster by twice as much (after BBR:
/// Cardwell et al., "BBR: Congestion-Based Congestion Control", ACM Queue 14(5), 2016). Pure: time comes in as
/// nanoseconds of any monotonic clock.
public struct PushPace: Sendable {
  /// What is noted of a push when it is sent, for the round trip that its arrival gives.
  public struct Mark: Sendable {
    var sent_ns: UInt64 = 0
    public init() {}
  }

  private static let span_ns: UInt64 = 1_000_000
  private static let roundTripsPerSpan: UInt64 = 4
  private static let longSpan_ns: UInt64 = 2_000_000_000
  /// Rates change by at most so much from span to span, as long as nothing has shown them to be wrong.
  private static let gains = 0.5...2.0
  /// A queue of so many pages is meant; of more than this many the bandwidth was wrong.
  private static let meantQueue = 0.25
  private static let wrongQueue = 4.0
  /// A queue that does not get shorter in so many spans is none.
  private static let patience = 8
  /// Pages that the first of several faster spans sends more.
  private static let firstProbe = 0.5
  /// What comes faster after so much faster sending is no chance.
  private static let clearGain = 1.04
  /// Acknowledgements that so long a time has bunched do not stop the push.
  private static let bunch_ns = 150_000.0
  /// The part of its time that a page which is waited for takes from pushes.
  private static let yielded = 2.0 / 3
  private static let yieldsInRow = 2
  /// How far a late sender may catch up.
  private static let catchUp_ns: UInt64 = 100_000
  /// Until there are samples: 64 pages in 1 ms, a gigabit's worth being 30.
  private static let firstInterval_ns = 16_000.0
  private static let firstWindow = 8

  private let limitInterval_ns: Double
  /// Pages per nanosecond.
  private var rate = 0.0
  /// Of this span, how much faster or slower than the bandwidth.
  private var gain = 1.0
  /// Pages more than the bandwidth that the next faster span sends; without end at first.
  private var probe = Double.infinity
  private var isProbing = true
  /// Spans in a row with a queue that did not get shorter, and with one that says that the bandwidth is less.
  private var congestedSpans = 0
  private var wrongSpans = 0

  /// Of this span.
  private var spanStart_ns: UInt64 = 0
  private var spanCount = 0
  private var spanYields = 0
  private var spanLeast_ns = UInt64.max
  /// Least round trips of this long span and the one before.
  private var roundTrips: (now: UInt64, before: UInt64) = (.max, .max)
  /// Greatest bandwidths, likewise: when others use the network too, pushes get less of it than a page takes.
  private var rates = (now: 0.0, before: 0.0)
  private var longSpanEnd_ns: UInt64 = 0
  /// By how much round trips exceed the span's least, on average.
  private var jitter_ns = 0.0
  private var standing_ns: UInt64 = 0
  private var next_ns = 0.0
  /// Pages that somebody waited for since the last push.
  private var yields = 0

  /// - Parameter limit_bytes_s: the most bytes of pages in a second, 0 for no limit of its own.
  public init(limit_bytes_s: UInt64 = 0) {
    limitInterval_ns =
      limit_bytes_s == 0 ? 0 : Double(Wire.pageBytes) * 1e9 / Double(limit_bytes_s)
  }

  /// Shortest round trip of late, nanoseconds; 0 before the first sample.
  public var roundTrip_ns: UInt64 {
    let least = min(roundTrips.now, roundTrips.before)
    return least == .max ? 0 : least
  }

  /// Measured bandwidth, bytes of pages per second; 0 before the first sample.
  public var bandwidth_bytes_s: UInt64 { UInt64(rate * 1e9 * Double(Wire.pageBytes)) }

  /// Pages that may be on their way at a time: what keeps the network busy until acknowledgements come, late ones
  /// too. A bound for bad moments; it is the spacing that keeps the queue short.
  public var window: Int {
    guard rate > 0 else { return Self.firstWindow }
    let time_ns = Double(roundTrip_ns) + 2 * jitter_ns + Self.bunch_ns
    return min(Wire.pushWindow, max(4, Int(rate * max(1, gain) * time_ns) + 3))
  }

  /// Pages that the network delivers in `time_ns`, as measured.
  public func pages(in time_ns: UInt64) -> Int { Int(rate * Double(time_ns)) }

  /// When the next page may be sent.
  public var nextSend_ns: UInt64 { UInt64(max(0, next_ns)) }

  /// Notes that a page is sent now.
  ///
  /// - Parameter inFlight: pages on their way, without this one.
  public mutating func sent(now_ns: UInt64, inFlight: Int) -> Mark {
    yields = 0
    if spanStart_ns == 0 { spanStart_ns = now_ns }
    var interval_ns = rate > 0 ? 1 / (rate * gain) : Self.firstInterval_ns
    interval_ns = max(interval_ns, limitInterval_ns)
    next_ns = max(next_ns, Double(now_ns) - Double(Self.catchUp_ns)) + interval_ns
    var mark = Mark()
    mark.sent_ns = now_ns
    return mark
  }

  /// Makes room for a page that somebody waits for and that is sent now, by pushing the next one later; but
  /// not for more than two in a row: see ``isItsTurn``.
  public mutating func yield(now_ns: UInt64) {
    yields += 1
    spanYields += 1
    guard rate > 0, yields <= Self.yieldsInRow else { return }
    next_ns = max(next_ns, Double(now_ns)) + Self.yielded / max(rates.now, rates.before)
  }

  /// Where so much is asked for that it fills the network alone, one push goes after every second of these pages,
  /// whatever window and spacing say: each spares somebody a wait.
  public var isItsTurn: Bool { yields >= Self.yieldsInRow }

  /// Takes in the arrival of pages that one acknowledgement reports.
  ///
  /// - Parameters:
  ///   - count: pages that it reports for the first time.
  ///   - newest: the mark of the one sent last; nil when that was sent more than once.
  ///   - inFlight: pages still on their way.
  public mutating func arrived(count: Int, newest: Mark?, inFlight: Int, now_ns: UInt64) {
    spanCount += count
    if let mark = newest { noteRoundTrip(now_ns &- mark.sent_ns, now_ns: now_ns) }
    let span_ns = max(Self.span_ns, Self.roundTripsPerSpan * roundTrip_ns)
    if now_ns &- spanStart_ns >= span_ns, spanLeast_ns != .max {
      endSpan(now_ns &- spanStart_ns, planned_ns: span_ns)
      restartSpan(now_ns: now_ns)
    }
  }

  private mutating func restartSpan(now_ns: UInt64) {
    spanStart_ns = now_ns
    spanCount = 0
    spanYields = 0
    spanLeast_ns = .max
  }

  private mutating func noteRoundTrip(_ roundTrip_ns: UInt64, now_ns: UInt64) {
    if now_ns >= longSpanEnd_ns {
      roundTrips = (.max, roundTrips.now)
      rates = (rate, rates.now)
      longSpanEnd_ns = now_ns + Self.longSpan_ns
    }
    roundTrips.now = min(roundTrips.now, roundTrip_ns)
    spanLeast_ns = min(spanLeast_ns, roundTrip_ns)
    // Against the last span's least: what stands in the queue counts on both sides.
    let over_ns = Double(roundTrip_ns) - Double(max(standing_ns, self.roundTrip_ns))
    jitter_ns += (min(max(0, over_ns), Double(Self.span_ns)) - jitter_ns) / 32
  }

  private mutating func endSpan(_ elapsed_ns: UInt64, planned_ns: UInt64) {
    let isEmptying = spanLeast_ns < standing_ns - standing_ns / 16
    standing_ns = spanLeast_ns
    let sample = Double(spanCount) / Double(elapsed_ns)
    guard rate > 0 else {
      rate = sample
      rates.now = sample
      gain = Self.gains.upperBound
      return
    }
    let before = rate
    let queue = Double(spanLeast_ns - min(spanLeast_ns, roundTrip_ns)) * rate
    let isCongested = queue > 2 * Self.meantQueue
    wrongSpans = queue > Self.wrongQueue ? wrongSpans + 1 : 0
    congestedSpans = isCongested && !isEmptying ? congestedSpans + 1 : 0
    // Less counts only when a queue shows that it was the network that had no time, and then with what else it
    // carried.
    let carried = min(rate, sample + Double(spanYields) / Double(elapsed_ns))
    if gain > Self.clearGain, sample > rate {
      rate = sample
    } else if wrongSpans >= 2 {
      // Two in a row, as one may be due to a client that had no time.
      rate = carried
    } else if sample > rate {
      rate += (sample - rate) / 8
    } else if isCongested, elapsed_ns < 2 * planned_ns {
      rate += (carried - rate) / 8
    }
    rates.now = max(rates.now, rate)
    if congestedSpans == Self.patience {
      // It would have emptied by now: the way has become longer, or pages take longer on it.
      roundTrips = (spanLeast_ns, .max)
      congestedSpans = 0
    }
    let pagesPerSpan = max(1, rate * Double(planned_ns))
    if isCongested {
      isProbing = false
      probe = Self.firstProbe
      gain = max(Self.gains.lowerBound, 1 - (queue - Self.meantQueue) / pagesPerSpan)
    } else if isProbing, sample <= before * (1 + (gain - 1) / 2) {
      // Takes back what that may have put in the queue.
      isProbing = false
      gain = max(Self.gains.lowerBound, 1 - queue / pagesPerSpan)
    } else {
      if isProbing { probe *= 2 }
      isProbing = true
      gain = min(Self.gains.upperBound, 1 + probe / pagesPerSpan)
    }
  }
}
