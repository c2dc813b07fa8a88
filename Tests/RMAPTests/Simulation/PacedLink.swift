// SPDX-License-Identifier: Apache-2.0
import RMAP
import Simulation

/// Pages that nobody asked for, sent as fast as a `PushPace` allows through one queue to a client that
/// acknowledges each; and what a page that somebody waits for would find in front of it.
struct PacedLink {
  /// How acknowledgements come back.
  struct Client {
    /// Each is late by up to so much.
    var jitter_ns: UInt64 = 0
    /// They go out together, so often; 0: each at once.
    var bunch_ns: UInt64 = 0
    /// The client does nothing for so long now and then.
    var stall_ns: UInt64 = 0
    var stallEvery_ns: UInt64 = 0
    /// Programs that need one page after another, all of which they have to ask for.
    var programs = 0
  }

  struct Findings {
    /// Of the wire's time.
    var utilisation = 0.0
    /// Of all pages, those that nobody asked for.
    var pushed = 0.0
    /// Of all frames with such pages, those that may have two.
    var paired = 0.0
    /// What lay before a page that came at random, or before those that programs asked for, in page times:
    /// the 99th percentile and the mean.
    var queue_p99 = 0.0
    var queue_mean = 0.0
  }

  private var link: LinkModel
  private let client: Client
  private var pace = PushPace()
  private var random: SplitMix64
  private var now_ns: UInt64 = 1_000_000_000
  private var free_ns: UInt64 = 0
  private var inFlight = 0
  private var acknowledgements: [(at_ns: UInt64, mark: PushPace.Mark)] = []
  private var head = 0
  private var lastAck_ns: UInt64 = 0
  /// When the server hears of what programs ask for, in order.
  private var requests: [UInt64] = []

  init(_ link: LinkModel, _ client: Client = Client(), seed: UInt64) {
    self.link = link
    self.client = client
    random = SplitMix64(seed: seed)
    requests = Array(repeating: now_ns, count: client.programs)
  }

  static func page_ns(_ link: LinkModel) -> UInt64 {
    link.wire_ns(Wire.pageBytes + Wire.headerBytes)
  }

  /// The link has another rate from now on.
  mutating func change(rate_bytes_s: UInt64) { link.rate_bytes_s = rate_bytes_s }

  /// Goes on for so long.
  mutating func run(_ time_ns: UInt64) -> Findings {
    let start_ns = now_ns
    let end_ns = now_ns + time_ns
    let page_ns = Self.page_ns(link)
    var sent = 0
    var fetched = 0
    var (single, paired) = (0, 0)
    var queues: [Double] = []
    var probe_ns = now_ns
    while true {
      let mayPush = inFlight < pace.window
      let push_ns = mayPush ? max(now_ns, pace.nextSend_ns) : .max
      let ack_ns = head < acknowledgements.count ? acknowledgements[head].at_ns : .max
      let request_ns = requests.first ?? .max
      let next_ns = max(now_ns, min(min(push_ns, request_ns), min(ack_ns, probe_ns)))
      guard next_ns < end_ns else { break }
      now_ns = next_ns
      let queue = Double(max(free_ns, now_ns) - now_ns) / Double(page_ns)
      if probe_ns <= now_ns {
        if client.programs == 0 { queues.append(queue) }
        probe_ns = now_ns + UInt64.random(in: 1...200_000, using: &random)
      } else if ack_ns <= now_ns {
        let mark = acknowledgements[head].mark
        head += 1
        inFlight -= 1
        pace.arrived(count: 1, newest: mark, inFlight: inFlight, now_ns: now_ns)
      } else if request_ns <= now_ns {
        queues.append(queue)
        pace.fetched()
        fetched += 1
        free_ns = max(free_ns, now_ns) + page_ns
        requests.removeFirst()
        requests.append(acknowledged_ns(free_ns + link.latency_ns))
      } else {
        let frame = pace.pagesPerFrame
        if frame > 1 { paired += 1 } else { single += 1 }
        for _ in 0..<min(frame, pace.window - inFlight) {
          let mark = pace.sent(now_ns: now_ns, inFlight: inFlight)
          inFlight += 1
          sent += 1
          free_ns = max(free_ns, now_ns) + page_ns
          acknowledgements.append((acknowledged_ns(free_ns + link.latency_ns), mark))
        }
      }
    }
    now_ns = end_ns
    queues.sort()
    return Findings(
      utilisation: Double(sent + fetched) * Double(page_ns) / Double(end_ns - start_ns),
      pushed: Double(sent) / Double(sent + fetched),
      paired: Double(paired) / Double(single + paired),
      queue_p99: queues[queues.count * 99 / 100],
      queue_mean: queues.reduce(0, +) / Double(queues.count))
  }

  /// When the server hears of a page that has arrived.
  private mutating func acknowledged_ns(_ arrival_ns: UInt64) -> UInt64 {
    var at_ns = arrival_ns
    if client.stallEvery_ns > 0 {
      let into_ns = at_ns % client.stallEvery_ns
      if into_ns < client.stall_ns { at_ns += client.stall_ns - into_ns }
    }
    if client.bunch_ns > 0 { at_ns += client.bunch_ns - at_ns % client.bunch_ns }
    at_ns += link.latency_ns
    if client.jitter_ns > 0 { at_ns += UInt64.random(in: 0...client.jitter_ns, using: &random) }
    lastAck_ns = max(lastAck_ns, at_ns)
    return lastAck_ns
  }
}
