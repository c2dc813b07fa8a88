// SPDX-License-Identifier: Apache-2.0
import RMAP

/// A program whose pages are at a server: it touches slots, waits for those that are missing, writes
/// some without looking, and knows what each must hold.
final class PostcopyClient {
  static let address = MACAddress(value: 0x0200_0000_0001)

  /// What of the post-copy the server knows in this session.
  private enum Told {
    case nothing
    case telling
    case everything
  }

  private struct Telling {
    var operation: ClientSession.Operation
    var slot: UInt64 = 0
    var count: UInt32 = 0
    var payload: [UInt8]
  }

  private enum SlotState {
    case missing
    case present
  }

  var session: ClientSession
  var packer = Packer()
  var nextPoll_ns: UInt64 = 0
  private(set) var violations: [String] = []
  /// Pages that came and were used, and those that came and were not.
  private(set) var used = 0
  private(set) var unused = 0
  private(set) var hasEverything = false
  private(set) var networkFaults = 0
  private(set) var sessions: UInt64 = 0

  private let expected: [UInt64?]
  private let order: [Extent]
  private let strategy: String
  private var states: [SlotState]
  private var requested: [UInt64: Int] = [:]
  private var announced: Set<Int> = []
  private var told = Told.nothing
  /// The server notes what it is asked for: PROTOCOL.md section 9.
  private var isNoted = false
  private var toTell: [Telling] = []
  private var outstandingTells: Set<UInt64> = []
  private var begin: UInt64?
  private var end: UInt64?
  private var request: UInt64 = 0
  private var buffers: [UInt64: UnsafeMutableRawPointer] = [:]
  private var pushesHaveEnded = false
  private var hasOverwritten = false

  /// - Parameter expected: the value that each slot's page has; nil: none was stored.
  init(
    expected: [UInt64?], order: [Extent], strategy: String, mtu: Int, depth: Int,
    giveUp_ns: UInt64
  ) {
    self.expected = expected
    self.order = order
    self.strategy = strategy
    states = Array(repeating: .missing, count: expected.count)
    session = ClientSession(
      ClientConfiguration(
        region: RegionName("vm")!, mtu: mtu, queueDepth: depth, giveUp_ns: giveUp_ns,
        attachID: 1))
  }

  deinit { for buffer in buffers.values { buffer.deallocate() } }

  var isDone: Bool { session.state == .detached }

  private func violated(_ what: String) {
    if violations.count < 20 { violations.append(what) }
  }

  /// Touches slots, and tells the server what it has to know.
  func act(_ random: inout SeededRandom, now_ns: UInt64) {
    guard session.state == .live else { return }
    if session.counters.attaches != sessions {
      sessions = session.counters.attaches
      (told, isNoted, begin, end, pushesHaveEnded) = (.nothing, false, nil, nil, false)
      (announced, toTell) = ([], [])
    }
    if told == .nothing, requested.isEmpty, outstandingTells.isEmpty, begin == nil, end == nil {
      prepareTelling()
    }
    while let telling = toTell.first, let id = submit(telling, now_ns) {
      toTell.removeFirst()
      outstandingTells.insert(id)
    }
    if told == .telling, toTell.isEmpty, outstandingTells.isEmpty, begin == nil {
      let request = BeginRequest(strategy: strategy, extents: order.count)
      begin = submit(Telling(operation: .begin, payload: request.payload), now_ns)
    }
    for _ in 0..<random.below(4) {
      let slot = random.below(states.count)
      guard states[slot] == .missing else { continue }
      if random.once(in: 10) {
        // Overwritten or freed without a look.
        states[slot] = .present
        hasOverwritten = true
        continue
      }
      // Announced: it will come. Now and then the program asks all the same.
      if announced.contains(slot), !random.once(in: 4) { continue }
      ask(slot, now_ns)
    }
    // A server that pushes nothing waits for what nobody will ask for.
    if told == .everything, requested.isEmpty, end == nil,
      pushesHaveEnded || strategy == "demand-only" && hasOverwritten,
      !states.indices.contains(where: { states[$0] == .missing && expected[$0] != nil })
    {
      hasEverything = true
      let request = EndRequest(unused: UInt64(unused))
      end = submit(Telling(operation: .end, payload: request.payload), now_ns)
    }
  }

  private func ask(_ slot: Int, _ now_ns: UInt64) {
    guard isNoted, !requested.values.contains(slot), session.hasRoom else { return }
    request += 1
    networkFaults += 1
    requested[request] = slot
    _ = session.submit(
      .read, slot: UInt64(slot), count: 7, buffer: nil, request: request, now_ns: now_ns)
  }

  /// What is here already, and the order in which the rest was used.
  private func prepareTelling() {
    toTell = stride(from: 0, to: states.count, by: 256).map { first in
      var bitmap = [UInt8](repeating: 0, count: 32)
      for bit in 0..<256 where first + bit < states.count && states[first + bit] == .present {
        bitmap[bit / 8] |= 1 << UInt8(bit % 8)
      }
      return Telling(operation: .have, slot: UInt64(first), payload: bitmap)
    }
    toTell += stride(from: 0, to: order.count, by: 5).map { first in
      let part = order[first..<min(first + 5, order.count)]
      var payload = [UInt8](repeating: 0, count: part.count * Wire.extentBytes)
      for (index, extent) in part.enumerated() {
        payload.withUnsafeMutableBytes { extent.store(in: $0.baseAddress!, at: index) }
      }
      return Telling(operation: .hint, count: UInt32(first), payload: payload)
    }
    told = .telling
  }

  /// The request's number, nil when the session has no room.
  private func submit(_ telling: Telling, _ now_ns: UInt64) -> UInt64? {
    let payload = telling.payload
    let buffer = UnsafeMutableRawPointer.allocate(byteCount: payload.count, alignment: 8)
    buffer.copyMemory(from: payload, byteCount: payload.count)
    request += 1
    guard
      session.submit(
        telling.operation, slot: telling.slot, count: telling.count, buffer: buffer,
        length: payload.count, request: request, now_ns: now_ns)
    else {
      buffer.deallocate()
      return nil
    }
    buffers[request] = buffer
    return request
  }

  /// Checks what a call of the session has brought.
  func take(_ events: PostcopyEvents, now_ns: UInt64) {
    for event in events.list {
      switch event {
      case .arrived(let slot, let value, let isPush): arrived(Int(slot), value, isPush)
      case .announced(let first, let count):
        for step in 0..<abs(count) {
          let slot = Int(first) + (count < 0 ? -step : step)
          if states.indices.contains(slot) { announced.insert(slot) }
        }
      case .ended: pushesHaveEnded = true
      case .completed(let request, let outcome): completed(request, outcome)
      }
    }
    session.noteUnusedPushes(UInt32(unused))
    if let end, !buffers.keys.contains(end), hasEverything {
      session.detach(sink: &packer)
    }
  }

  private func arrived(_ slot: Int, _ value: UInt64?, _ isPush: Bool) {
    guard states.indices.contains(slot) else { return violated("slot \(slot) arrived") }
    if value != (expected[slot] ?? 0) {
      violated("slot \(slot) has \(value.map(String.init) ?? "a mixture")")
    }
    if states[slot] == .missing {
      states[slot] = .present
      used += 1
    } else {
      unused += 1
    }
  }

  private func completed(_ request: UInt64, _ outcome: Outcome) {
    if let slot = requested.removeValue(forKey: request) {
      if outcome == .done, states[slot] != .present { violated("slot \(slot) did not arrive") }
      if outcome != .done, outcome != .timedOut { violated("slot \(slot): \(outcome)") }
      return
    }
    buffers.removeValue(forKey: request)?.deallocate()
    outstandingTells.remove(request)
    if outcome == .refused(.badSession) || outcome == .timedOut {
      if request == end { end = nil }
      if request == begin { begin = nil }
      told = .nothing
      // A new session is on its way; it is told from the beginning.
      if outcome == .timedOut { sessions = 0 }
      return
    }
    if outcome == .done { isNoted = true } else { violated("request \(request): \(outcome)") }
    if request == begin { told = .everything }
  }
}

/// What a session reports in one call, pages by their value.
struct PostcopyEvents: CompletionSink {
  enum Event {
    case arrived(slot: UInt64, value: UInt64?, isPush: Bool)
    case announced(first: UInt64, count: Int)
    case ended
    case completed(UInt64, Outcome)
  }

  var list: [Event] = []

  mutating func completed(request: UInt64, outcome: Outcome) {
    list.append(.completed(request, outcome))
  }
  mutating func arrived(slot: UInt64, page: UnsafeRawPointer?, isPush: Bool) {
    list.append(
      .arrived(slot: slot, value: page.map { PageContents.value(of: $0) } ?? 0, isPush: isPush))
  }
  mutating func announced(first: UInt64, count: Int) {
    list.append(.announced(first: first, count: count))
  }
  mutating func pushesEnded() { list.append(.ended) }
}
