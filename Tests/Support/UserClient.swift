// SPDX-License-Identifier: Apache-2.0
import Glibc
import Links
import RMAP

/// A client in user mode for tests: one session on one link, used from one thread at a time.
///
/// What it writes in a slot is made from the slot's number and a version, so that what it reads can be
/// checked.
package final class UserClient: @unchecked Sendable {
  // Invariant behind @unchecked: a test uses it from one thread at a time.

  /// How requests ended.
  package struct Tally: Sendable, Equatable {
    package var done = 0
    /// Reads whose page was not what it should be.
    package var wrong = 0
    package var refused: [Status: Int] = [:]
    package var timedOut = 0
    package init(done: Int = 0) { self.done = done }
  }

  /// What a read should find.
  package enum Expected: Sendable {
    case version(UInt64)
    case zeros
  }

  private var link: EthernetLink
  private var sender: EthernetSender
  private var session: ClientSession
  private let buffers: UnsafeMutableRawPointer
  private let queueDepth: Int

  /// - Parameters:
  ///   - network: its client side is used.
  ///   - region: to attach to.
  ///   - token: to show.
  ///   - queueDepth: requests at a time.
  ///   - giveUp_ms: how long to wait for an answer.
  ///   - linkName: to use, the network's first unless said otherwise.
  ///   - server: who is asked; broadcast finds the server, and gets no refusals.
  package init(
    _ network: TestNetwork, region: String, token: String = "", queueDepth: Int = 32,
    giveUp_ms: UInt64 = 10_000, server: MACAddress = .broadcast, link linkName: String? = nil
  ) throws {
    let opened = try inNamespace(network.client) {
      Opened(try EthernetLink(linkName ?? network.clientLink, ringFrames: 1024))
    }
    link = opened.take()
    sender = EthernetSender(socket: link.fileDescriptor, source: link.address)
    self.queueDepth = queueDepth
    session = ClientSession(
      ClientConfiguration(
        region: RegionName(region)!, token: Token(token)!, mtu: network.mtu,
        queueDepth: queueDepth, server: server, giveUp_ns: giveUp_ms * 1_000_000,
        attachID: Self.now_ns() &+ UInt64.random(in: 0..<1_000_000)))
    buffers = .allocate(byteCount: queueDepth * Wire.pageBytes, alignment: Wire.pageBytes)
  }

  deinit { buffers.deallocate() }

  package var state: ClientSession.State { session.state }
  package var counters: ClientCounters { session.counters }
  package var grant: AttachReply? { session.grant }
  package var address: MACAddress { link.address }

  /// Asks for a session until the server has answered, or for `timeout_ms`.
  @discardableResult
  package func attach(timeout_ms: UInt64 = 5000) -> ClientSession.State {
    let end_ns = Self.now_ns() + timeout_ms * 1_000_000
    var completions = Completions()
    while session.state == .attaching, Self.now_ns() < end_ns { step(&completions) }
    return session.state
  }

  package func write(_ slots: Range<UInt64>, version: UInt64) -> Tally {
    run(.write, slots, expected: .version(version))
  }

  package func read(_ slots: Range<UInt64>, expecting expected: Expected) -> Tally {
    run(.read, slots, expected: expected)
  }

  package func discard(_ slots: Range<UInt64>) -> Tally {
    ask(.discard, slots.lowerBound, count: slots.count)
  }

  /// Asks to reach the region's memory directly.
  package func askForWindow() -> Tally { ask(.window, 0, count: 1) }

  private func ask(_ operation: ClientSession.Operation, _ slot: UInt64, count: Int) -> Tally {
    var completions = Completions()
    _ = session.submit(
      operation, slot: slot, count: UInt32(count), buffer: nil, request: 0, now_ns: Self.now_ns())
    while completions.ended.isEmpty { step(&completions) }
    var tally = Tally()
    tally.add(completions.ended[0].outcome)
    return tally
  }

  /// What a post-copy has brought.
  package struct Moved: Equatable {
    /// Slots whose pages were pushed.
    package var slots: Set<UInt64> = []
    /// Pushes whose page was not what it should be.
    package var wrong = 0
    /// The server said that there is nothing more.
    package var isAll = false
    /// BEGIN was refused with this.
    package var refused: Status?
  }

  /// Has pages pushed until `count` have come, or the server has no more, or for `timeout_ms`.
  ///
  /// - Parameters:
  ///   - version: that the pages should be of.
  ///   - ending: whether to say END then.
  package func move(
    version: UInt64, strategy: String = "push", count: Int = .max, ending: Bool = true,
    timeout_ms: UInt64 = 10_000
  ) -> Moved {
    let end_ns = Self.now_ns() + timeout_ms * 1_000_000
    var completions = Completions(version: version)
    if let status = tell(.begin, BeginRequest(strategy: strategy).payload, &completions) {
      completions.moved.refused = status
      return completions.moved
    }
    while !completions.moved.isAll, completions.moved.slots.count < count, Self.now_ns() < end_ns {
      step(&completions)
    }
    if ending {
      completions.moved.refused = tell(.end, EndRequest(unused: 0).payload, &completions)
    }
    return completions.moved
  }

  /// Sends what has a payload; nil when it was done, else why not.
  private func tell(
    _ operation: ClientSession.Operation, _ payload: [UInt8], _ completions: inout Completions
  ) -> Status? {
    buffers.copyMemory(from: payload, byteCount: payload.count)
    _ = session.submit(
      operation, slot: 0, buffer: buffers, length: payload.count, request: 0,
      now_ns: Self.now_ns())
    while completions.ended.isEmpty { step(&completions) }
    switch completions.ended.removeLast().outcome {
    case .done: return nil
    case .refused(let status): return status
    case .timedOut: return .ioError
    }
  }

  /// Ends the session; the region keeps its pages.
  package func detach() {
    session.detach(sink: &sender)
    sender.flush()
  }

  private func run(
    _ operation: ClientSession.Operation, _ slots: Range<UInt64>, expected: Expected
  ) -> Tally {
    var tally = Tally()
    var completions = Completions()
    var next = slots.lowerBound
    var free = Array(0..<queueDepth)
    var slotOf = [UInt64](repeating: 0, count: queueDepth)
    var remaining = slots.count
    while remaining > 0 {
      while next < slots.upperBound, session.hasRoom, let index = free.popLast() {
        let page = buffers + index * Wire.pageBytes
        slotOf[index] = next
        if operation == .write, case .version(let version) = expected {
          Self.stamp(page, slot: next, version: version)
        }
        _ = session.submit(
          operation, slot: next, buffer: page, request: UInt64(index), now_ns: Self.now_ns())
        next += 1
      }
      step(&completions)
      for (request, outcome) in completions.ended {
        let index = Int(request)
        let page = buffers + index * Wire.pageBytes
        if outcome == .done, operation == .read,
          !Self.holds(page, expected, slot: slotOf[index])
        {
          tally.wrong += 1
        }
        tally.add(outcome)
        free.append(index)
        remaining -= 1
      }
      completions.ended.removeAll(keepingCapacity: true)
    }
    return tally
  }

  /// Takes in what has come, sends what is due, and waits a little when there is nothing.
  private func step(_ completions: inout Completions) {
    var count = 0
    while count < 64, let frame = link.next() {
      session.receive(
        frame: frame.bytes, from: frame.source, now_ns: Self.now_ns(), completions: &completions)
      count += 1
    }
    let due_ns = session.poll(now_ns: Self.now_ns(), sink: &sender, completions: &completions)
    sender.flush()
    guard count == 0, completions.ended.isEmpty else { return }
    let now_ns = Self.now_ns()
    let wait_ms = due_ns > now_ns ? min((due_ns - now_ns) / 1_000_000 + 1, 20) : 0
    link.wait(timeout_ms: Int32(wait_ms))
  }

  // MARK: Pages

  package static func stamp(_ page: UnsafeMutableRawPointer, slot: UInt64, version: UInt64) {
    var x = seed(slot: slot, version: version)
    for offset in stride(from: 0, to: Wire.pageBytes, by: 8) {
      page.storeBytes(of: advance(&x), toByteOffset: offset, as: UInt64.self)
    }
  }

  /// The words of a page as `stamp` writes them.
  package static func words(slot: UInt64, version: UInt64) -> [UInt64] {
    var x = seed(slot: slot, version: version)
    return (0..<Wire.pageBytes / 8).map { _ in advance(&x) }
  }

  package static func holds(
    _ page: UnsafeRawPointer, _ expected: Expected, slot: UInt64
  ) -> Bool {
    var x: UInt64 = 0
    if case .version(let version) = expected { x = seed(slot: slot, version: version) }
    for offset in stride(from: 0, to: Wire.pageBytes, by: 8) {
      let word = page.load(fromByteOffset: offset, as: UInt64.self)
      if case .zeros = expected {
        guard word == 0 else { return false }
      } else {
        guard word == advance(&x) else { return false }
      }
    }
    return true
  }

  private static func seed(slot: UInt64, version: UInt64) -> UInt64 {
    (slot &+ 1) &* 0x9E37_79B9_7F4A_7C15 ^ (version &+ 1) &* 0xD6E8_FEB8_6659_FD93 | 1
  }

  private static func advance(_ x: inout UInt64) -> UInt64 {
    x ^= x << 13
    x ^= x >> 7
    x ^= x << 17
    return x
  }

  private static func now_ns() -> UInt64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
  }
}

extension UserClient.Tally {
  mutating func add(_ outcome: Outcome) {
    switch outcome {
    case .done: done += 1
    case .refused(let status): refused[status, default: 0] += 1
    case .timedOut: timedOut += 1
    }
  }
}

private struct Completions: CompletionSink, ~Copyable {
  var ended: [(request: UInt64, outcome: Outcome)] = []
  /// Of pages that are pushed.
  var version: UInt64 = 0
  var moved = UserClient.Moved()

  init(version: UInt64 = 0) { self.version = version }

  mutating func arrived(slot: UInt64, page: UnsafeRawPointer?, isPush: Bool) {
    moved.slots.insert(slot)
    let isRight = page.map { UserClient.holds($0, .version(version), slot: slot) } ?? false
    if !isRight { moved.wrong += 1 }
  }

  mutating func pushesEnded() { moved.isAll = true }

  mutating func completed(request: UInt64, outcome: Outcome) { ended.append((request, outcome)) }
}

/// Carries a link from the thread that opened it to the one that uses it.
private final class Opened: @unchecked Sendable {
  // Invariant behind @unchecked: handed over once.
  private var link: EthernetLink?
  init(_ link: consuming EthernetLink) { self.link = consume link }
  func take() -> EthernetLink { link.take()! }
}
