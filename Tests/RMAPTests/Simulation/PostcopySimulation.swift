// SPDX-License-Identifier: Apache-2.0
import RMAP

/// A post-copy over a network that loses, doubles, reorders, delays and corrupts: one run, all of it from
/// one seed.
final class PostcopySimulation {
  private static let server = MACAddress(value: 0x0200_0000_00FF)

  private enum Event {
    case toServer([UInt8])
    case toClient([UInt8])
    case serverStarts
  }

  /// What a run came to.
  struct Report {
    var violations: [String]
    var pages: Int
    /// Page-carrying messages that the server sent, fragments counted as their part.
    var pagesSent: Double
    var networkFaults: Int
    var end_ns: UInt64
    var digest: UInt64
    var isClean: Bool
    var sessions: UInt64
  }

  private var random: SeededRandom
  private let store: MemoryStoreState
  private var core: ServerCore<MemoryStore>
  private var packer = Packer()
  private let client: PostcopyClient
  private let limits: ServerLimits
  private let pages: Int
  private var queue = EventQueue<Event>()
  private var now_ns: UInt64 = 1
  private var nextTick_ns: UInt64 = 0
  private var nextPush_ns: UInt64 = .max
  private var linkFree_ns: UInt64 = 0
  private var cutUntil_ns: UInt64 = 0
  private var serverUp = true
  private var strikes = 0
  private var bytesSent = 0
  private var digest: UInt64 = 0
  private var violations: [String] = []

  private let isClean: Bool
  private let loss: Double
  private let duplication: Double
  private let corruption: Double
  private let jitter_ns: Int
  private let delay_ns: Int
  private let rate_bytes_s: UInt64

  init(seed: UInt64) {
    random = SeededRandom(seed: SeededRandom.mix(seed ^ 0x5057))
    let slotCount = random.pick([1, 5, 64, 65, 300, 1000])
    let stored = random.pick([0.0, 0.5, 1, 1])
    isClean = random.once(in: 3)
    loss = isClean ? 0 : random.pick([0, 0.01, 0.1, 0.3])
    duplication = isClean ? 0 : random.pick([0, 0.05, 0.3])
    corruption = isClean ? 0 : random.pick([0, 0, 0.05])
    jitter_ns = isClean ? 0 : random.pick([0, 10_000, 1_000_000])
    delay_ns = random.pick([5_000, 50_000, 500_000])
    rate_bytes_s = UInt64(random.pick([50_000_000, 125_000_000, 1_000_000_000]))
    strikes = isClean ? 0 : random.pick([0, 0, 1, 3])
    store = MemoryStoreState([.init("vm", slots: UInt64(slotCount))])
    var expected: [UInt64?] = []
    for slot in 0..<slotCount {
      guard random.chance(stored) else {
        expected.append(nil)
        continue
      }
      expected.append(random.next() | 1)
      store.put(expected[slot]!, 0, slot: UInt64(slot))
    }
    pages = expected.count { $0 != nil }
    // Ranges in any order, now and then past the end or named before.
    var order: [Extent] = []
    for _ in 0..<random.below(30) {
      order.append(
        Extent(slot: UInt64(random.below(slotCount + 3)), count: UInt32(random.within(1...40))))
    }
    limits = ServerLimits(
      maxSessions: 2, sessionTimeout_ms: 400, mtu: random.pick([1500, 9000, 9000]),
      queueDepth: 64)
    core = ServerCore(store: MemoryStore(state: store), limits: limits, seed: random.next())
    client = PostcopyClient(
      expected: expected, order: order,
      strategy: random.pick(["", "push", "push", "demand-only"]), mtu: random.pick([1500, 9000]),
      depth: random.pick([8, 64]), giveUp_ns: 2_000_000_000)
  }

  /// Runs until the client has everything.
  func run() -> Report {
    var steps = 0
    while !client.isDone {
      steps += 1
      let due_ns = min(queue.next_ns, nextTick_ns, nextPush_ns, client.nextPoll_ns)
      now_ns = max(now_ns, due_ns)
      if steps > 2_000_000 || now_ns > 600_000_000_000 {
        violations.append("the run does not end: \(steps) steps, \(now_ns) ns")
        break
      }
      if queue.next_ns <= now_ns {
        handle(queue.removeFirst())
      } else if nextTick_ns <= now_ns {
        if serverUp { core.tick(now_ns: now_ns, ringOverflowed: false) }
        nextTick_ns = now_ns + 10_000_000
      } else if nextPush_ns <= now_ns {
        serve()
      } else {
        drive()
      }
    }
    let sent = Double(bytesSent) / Double(Wire.pageBytes)
    core.closeAll()
    store.flushed()
    if store.claims != 0 { violations.append("sessions left over") }
    violations +=
      store.violations + packer.violations + client.violations
      + client.packer.violations
    return Report(
      violations: violations, pages: pages, pagesSent: sent,
      networkFaults: client.networkFaults, end_ns: now_ns, digest: digest, isClean: isClean,
      sessions: client.sessions)
  }

  private func handle(_ event: Event) {
    switch event {
    case .serverStarts:
      serverUp = true
    case .toServer(let bytes):
      guard serverUp else { return }
      digest = SeededRandom.mix(digest ^ now_ns ^ UInt64(bytes.count))
      bytes.withUnsafeBytes {
        core.receive(
          frame: $0, from: PostcopyClient.address, toGroup: false, now_ns: now_ns, sink: &packer)
      }
      serve()
    case .toClient(let bytes):
      digest = SeededRandom.mix(digest ^ now_ns ^ UInt64(bytes.count) << 32)
      var events = PostcopyEvents()
      bytes.withUnsafeBytes {
        client.session.receive(
          frame: $0, from: Self.server, now_ns: now_ns, completions: &events)
      }
      client.take(events, now_ns: now_ns)
      drive()
    }
  }

  /// Lets the server push, and sends what it has to say.
  private func serve() {
    guard serverUp else {
      nextPush_ns = .max
      return
    }
    let due_ns = core.push(now_ns: now_ns, sink: &packer)
    nextPush_ns = due_ns == .max ? .max : max(due_ns, now_ns + 1000)
    for frame in packer.flush() {
      count(frame)
      linkFree_ns =
        max(linkFree_ns, now_ns) + UInt64(frame.bytes.count) * 1_000_000_000 / rate_bytes_s
      deliver(frame.bytes, at_ns: linkFree_ns) { .toClient($0) }
    }
    store.flushed()
  }

  private func count(_ frame: Frame) {
    for message in Received.all(in: [frame])
    where [Opcode.push.rawValue, Opcode.read.reply].contains(message.header.opcode) {
      bytesSent += message.payload.count
    }
  }

  private func drive() {
    client.act(&random, now_ns: now_ns)
    strike()
    var events = PostcopyEvents()
    let due_ns = client.session.poll(
      now_ns: now_ns, sink: &client.packer, completions: &events)
    client.take(events, now_ns: now_ns)
    client.nextPoll_ns = min(due_ns, now_ns + UInt64(random.within(10...300)) * 1000)
    for frame in client.packer.flush() {
      deliver(frame.bytes, at_ns: now_ns) { .toServer($0) }
    }
  }

  private func deliver(_ bytes: [UInt8], at_ns: UInt64, _ event: ([UInt8]) -> Event) {
    guard now_ns >= cutUntil_ns else { return }
    var copies = random.chance(loss) ? 0 : 1
    if random.chance(duplication) { copies += 1 }
    for _ in 0..<copies {
      var bytes = bytes
      if random.chance(corruption) {
        bytes[random.below(bytes.count)] ^= 1 << UInt8(random.below(8))
      }
      queue.add(event(bytes), at_ns: at_ns + UInt64(delay_ns + random.below(jitter_ns + 1)))
    }
  }

  /// The link goes down, for less or more than a session lasts; or the server restarts.
  private func strike() {
    guard strikes > 0, now_ns >= cutUntil_ns, serverUp, random.once(in: 400) else { return }
    strikes -= 1
    switch random.below(3) {
    case 0: cutUntil_ns = now_ns + UInt64(random.within(1...100)) * 1_000_000
    case 1: cutUntil_ns = now_ns + UInt64(random.within(450...3000)) * 1_000_000
    default:
      store.crash(survives: true)
      core = ServerCore(store: MemoryStore(state: store), limits: limits, seed: random.next())
      serverUp = false
      nextPush_ns = .max
      queue.add(.serverStarts, at_ns: now_ns + UInt64(random.within(1...200)) * 1_000_000)
    }
  }
}
