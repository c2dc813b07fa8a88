// SPDX-License-Identifier: Apache-2.0
import RMAP

/// A server, its clients, and a network between them that loses, doubles, reorders, delays and
/// corrupts: one run, all of it from one seed.
final class Simulation {
  static let server = MACAddress(value: 0x0200_0000_00FF)

  private enum Event {
    case arrival(from: MACAddress, to: MACAddress, bytes: [UInt8], corrupted: Bool)
    case serverStarts
  }

  /// What a run came to.
  struct Report {
    var violations: [String]
    /// Of all frames delivered, and when.
    var digest: UInt64
    var frames: Int
    var end_ns: UInt64
  }

  private var random: SeededRandom
  private let schedule: Schedule
  private let store: MemoryStoreState
  private var core: ServerCore<MemoryStore>
  private var packer = Packer()
  private let clients: [SimulatedClient]
  private var queue = EventQueue<Event>()
  private var now_ns: UInt64 = 1
  private var nextTick_ns: UInt64 = 0
  private var serverUp = true
  private var serverStarts = 1
  private var overflowed = false
  /// Before this, no restart: what was under way at the last one has to be gone.
  private var quietUntil_ns: UInt64 = 0
  private var partitionedToServer_ns: UInt64 = 0
  private var partitionedFromServer_ns: UInt64 = 0
  private var healed = false
  private var corruptedFrames = 0
  private var frames = 0
  private var digest: UInt64 = 0
  private var violations: [String] = []

  init(seed: UInt64) {
    random = SeededRandom(seed: SeededRandom.mix(seed))
    schedule = Schedule(&random)
    let schedule = schedule
    store = MemoryStoreState(
      (0..<schedule.clients).map {
        MemoryStoreState.Region("region-\($0)", slots: schedule.slots, quota: schedule.quota)
      })
    core = ServerCore(
      store: MemoryStore(state: store), limits: schedule.limits, seed: random.next())
    clients = (0..<schedule.clients).map { SimulatedClient(index: $0, schedule: schedule) }
  }

  // MARK: Running

  /// Runs until every client is done.
  func run() -> Report {
    var steps = 0
    while !clients.allSatisfy(\.isDone) {
      steps += 1
      let due_ns = clients.reduce(min(queue.next_ns, nextTick_ns)) { min($0, $1.nextPoll_ns) }
      now_ns = max(now_ns, due_ns)
      if steps > 3_000_000 || now_ns > 2_000_000_000_000 {
        violations.append("the run does not end: \(steps) steps, \(now_ns) ns")
        break
      }
      if queue.next_ns <= now_ns {
        handle(queue.removeFirst())
      } else if nextTick_ns <= now_ns {
        tick()
      } else {
        for client in clients where client.nextPoll_ns <= now_ns { drive(client) }
      }
      if !healed, clients.allSatisfy({ $0.awaitsReadBack }) { heal() }
    }
    return finish()
  }

  private func tick() {
    if serverUp { core.tick(now_ns: now_ns, ringOverflowed: overflowed) }
    overflowed = false
    nextTick_ns = now_ns + 10_000_000
  }

  private func handle(_ event: Event) {
    switch event {
    case .serverStarts:
      serverUp = true
    case .arrival(let from, let to, let bytes, let corrupted):
      frames += 1
      digest = SeededRandom.mix(digest ^ now_ns ^ UInt64(bytes.count) << 48 ^ from.value)
      if corrupted { corruptedFrames += 1 }
      if let client = clients.first(where: { $0.address == to }) {
        var completions = Completions()
        bytes.withUnsafeBytes {
          client.session.receive(
            frame: $0, from: from, now_ns: now_ns, completions: &completions)
        }
        client.take(completions)
        drive(client)
      } else if serverUp {
        bytes.withUnsafeBytes {
          core.receive(
            frame: $0, from: from, toGroup: to.isGroup, now_ns: now_ns, sink: &packer)
        }
        transmit(packer.flush(), from: Self.server)
        store.flushed()
      }
    }
  }

  /// Lets a client ask and send, and sometimes lets something go wrong.
  private func drive(_ client: SimulatedClient) {
    let submitted = client.submit(&random, now_ns: now_ns)
    if !healed { for _ in 0..<submitted { strike(client) } }
    var completions = Completions()
    client.nextPoll_ns = client.session.poll(
      now_ns: now_ns, sink: &client.packer, completions: &completions)
    client.take(completions)
    // What has completed makes room: be back for it at once, or when a pause ends.
    if client.pausedUntil_ns > now_ns {
      client.nextPoll_ns = min(client.nextPoll_ns, client.pausedUntil_ns)
    } else if client.session.hasRoom, client.left > 0 {
      client.nextPoll_ns = min(client.nextPoll_ns, now_ns + 100_000)
    } else if !completions.list.isEmpty {
      client.nextPoll_ns = now_ns
    }
    if case .refused(let status) = client.session.state {
      violations.append("an attach was refused: \(status)")
    }
    let sent = client.packer.flush()
    for frame in sent { checkTags(frame, of: client) }
    transmit(sent, from: client.address)
  }

  /// No client sends a tag that it was not granted.
  private func checkTags(_ frame: Frame, of client: SimulatedClient) {
    if frame.bytes.count > schedule.clientMTU { violations.append("a frame above the MTU") }
    guard let depth = client.session.grant?.queueDepth else { return }
    frame.bytes.withUnsafeBytes { bytes in
      var at = 0
      while at + Wire.headerBytes <= bytes.count {
        let header = Header(at: bytes.baseAddress! + at)
        guard header.opcode != Opcode.pad.rawValue else { return }
        if header.tagIndex != Wire.noTag, header.tagIndex >= depth {
          violations.append("tag \(header.tagIndex) with a queue depth of \(depth)")
        }
        at += Wire.headerBytes + header.payloadLength
      }
    }
  }

  // MARK: The network

  private func transmit(_ sent: [Frame], from: MACAddress) {
    for frame in sent {
      guard frame.bytes.count <= schedule.pathMTU else { continue }
      let cut = from == Self.server ? partitionedFromServer_ns : partitionedToServer_ns
      let cutNow = now_ns < cut
      if healed {
        queue.add(
          .arrival(from: from, to: frame.to, bytes: frame.bytes, corrupted: false),
          at_ns: now_ns + UInt64(schedule.delay_ns))
        continue
      }
      guard !cutNow else { continue }
      var copies = random.chance(schedule.loss) ? 0 : 1
      if random.chance(schedule.duplication) { copies += random.within(1...2) }
      for _ in 0..<copies {
        var bytes = frame.bytes
        let corrupted = random.chance(schedule.corruption)
        if corrupted { corrupt(&bytes) }
        var delay_ns = UInt64(schedule.delay_ns + random.below(schedule.jitter_ns + 1))
        if random.chance(schedule.lateness) {
          delay_ns += UInt64(random.below(Int(Schedule.lifetime_ns) - 6_000_000))
        }
        queue.add(
          .arrival(from: from, to: frame.to, bytes: bytes, corrupted: corrupted),
          at_ns: now_ns + delay_ns)
      }
    }
  }

  /// Flips bits, or cuts the frame short.
  private func corrupt(_ bytes: inout [UInt8]) {
    if random.once(in: 8) {
      bytes.removeLast(random.below(bytes.count))
      return
    }
    // Mostly in the first header, where the fields are.
    let reach = random.once(in: 2) ? min(bytes.count, Wire.headerBytes) : bytes.count
    for _ in 0..<random.within(1...4) {
      bytes[random.below(reach)] ^= 1 << UInt8(random.below(8))
    }
  }

  // MARK: Bad days

  private func strike(_ client: SimulatedClient) {
    if random.chance(schedule.overflow) { overflowed = true }
    if random.chance(schedule.pause) {
      client.pausedUntil_ns = now_ns + UInt64(random.within(1...1000)) * 1_000_000
    }
    if random.chance(schedule.partition) {
      let until_ns = now_ns + UInt64(random.within(1...800)) * 1_000_000
      switch random.below(3) {
      case 0: partitionedToServer_ns = until_ns
      case 1: partitionedFromServer_ns = until_ns
      default: (partitionedToServer_ns, partitionedFromServer_ns) = (until_ns, until_ns)
      }
    }
    guard now_ns >= quietUntil_ns, serverUp else { return }
    if random.chance(schedule.serverRestart) {
      restartServer(after_ns: UInt64(random.below(200)) * 1_000_000)
    } else if random.chance(schedule.clientRestart) {
      client.restart()
      quietUntil_ns = now_ns + Schedule.lifetime_ns
    }
  }

  private func restartServer(after_ns: UInt64) {
    let survives = !random.chance(schedule.storeLoss)
    store.crash(survives: survives)
    if !survives { for client in clients { client.storeLost() } }
    serverUp = false
    serverStarts += 1
    core = ServerCore(
      store: MemoryStore(state: store), limits: schedule.limits, seed: random.next())
    queue.add(.serverStarts, at_ns: now_ns + after_ns)
    quietUntil_ns = now_ns + after_ns + Schedule.lifetime_ns
  }

  /// Ends all trouble, and lets the clients read everything back.
  private func heal() {
    healed = true
    for client in clients {
      client.pausedUntil_ns = 0
      client.nextPoll_ns = now_ns
      client.startReadBack()
    }
  }

  // MARK: The end

  private func finish() -> Report {
    for client in clients {
      client.checkCounters(corruptedFrames: corruptedFrames)
      violations += client.violations + client.packer.violations
    }
    let counters = core.counters
    if counters.badChecksums > corruptedFrames { violations.append("bad checksums at the server") }
    if corruptedFrames == 0 {
      let bad =
        counters.badMessages + counters.badVersions + counters.badOpcodes
        + counters.truncatedFrames
      if bad != 0 { violations.append("malformed messages at the server: \(counters)") }
    }
    if serverStarts == 1 {
      checkWrites(counters)
    }
    let outstanding = core.sessions(now_ns: now_ns).reduce(0) { $0 + $1.queueDepth }
    if store.staged > outstanding { violations.append("more pages gathered than tags") }
    core.closeAll()
    store.flushed()
    if core.sessionCount != 0 || store.claims != 0 { violations.append("sessions left over") }
    if store.staged != 0 { violations.append("\(store.staged) pages left being gathered") }
    if store.leaked != 0 { violations.append("\(store.leaked) pages leaked") }
    violations += store.violations + packer.violations
    return Report(violations: violations, digest: digest, frames: frames, end_ns: now_ns)
  }

  /// Each write was carried out if it was acknowledged, and in each session at most once.
  private func checkWrites(_ counters: ServerCounters) {
    let acknowledged = clients.reduce(0) { $0 + $1.acknowledgedWrites }
    let submitted = clients.reduce(0) { $0 + $1.submittedWrites }
    let writes = Int(counters.writes)
    if writes < acknowledged { violations.append("\(writes) of \(acknowledged) writes stored") }
    if counters.attaches == schedule.clients, writes > submitted {
      violations.append("\(writes) writes stored, \(submitted) asked for")
    }
  }
}
