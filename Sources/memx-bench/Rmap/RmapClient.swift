// SPDX-License-Identifier: Apache-2.0
import Glibc
import Links
import RMAP

/// Why a run ended early.
struct RmapError: Error, CustomStringConvertible {
  let description: String
}

/// A user-mode client on one link: the loop that joins session and port.
struct RmapClient<Port: ClientPort & ~Copyable>: ~Copyable {
  var port: Port
  var session: ClientSession
  let busyPoll_ns: UInt64
  private let link: String
  let mtu: Int

  init(
    _ port: consuming Port, link: String, queueDepth: Int, region: RegionName, token: Token,
    server: MACAddress, giveUp_ns: UInt64, busyPoll_us: UInt64
  ) {
    mtu = port.mtu
    self.port = port
    self.link = link
    busyPoll_ns = busyPoll_us * 1000
    var wall = timespec()
    clock_gettime(CLOCK_REALTIME, &wall)
    var configuration = ClientConfiguration(
      region: region, token: token, mtu: mtu, queueDepth: queueDepth, server: server,
      giveUp_ns: giveUp_ns,
      attachID: UInt64(wall.tv_sec) * 1_000_000_000 + UInt64(wall.tv_nsec))
    configuration.isReliable = Port.isReliable
    session = ClientSession(configuration)
  }

  var counters: ClientCounters { session.counters }

  /// Opens the session.
  ///
  /// - Returns: slots of the region.
  /// - Throws: when the server refuses, or nobody answers for five seconds.
  mutating func attach() throws -> UInt64 {
    let end_ns = monotonic_ns() + 5_000_000_000
    var nothing = IgnoredCompletions()
    while session.state == .attaching {
      let now_ns = monotonic_ns()
      guard now_ns < end_ns else {
        throw RmapError(
          description:
            "no server answered on \(link) within 5 s; is memxd running on the other"
            + " end, and the link up?")
      }
      while let frame = port.next() {
        session.receive(
          frame: frame.bytes, from: frame.source, now_ns: now_ns, completions: &nothing)
      }
      maintain(now_ns: now_ns)
      _ = session.poll(now_ns: now_ns, sink: &port, completions: &nothing)
      port.flush()
      port.wait(timeout_ms: 10)
    }
    if case .refused(let status) = session.state {
      throw RmapError(description: "attach refused: \(status)")
    }
    return session.grant!.slots
  }

  /// Runs requests of `load` until it has no more, or the time is over (or `EarlyEnd` wanted) and all are answered.
  ///
  /// - Returns: seconds from the first request to the last answer.
  @discardableResult
  mutating func run(_ load: inout PageLoad, _ phase: LoadPhase, duration_s: Double?) -> Double {
    let start_ns = monotonic_ns()
    let end_ns = duration_s.map { start_ns + UInt64($0 * 1e9) } ?? .max
    var lastFrame_ns = start_ns
    load.begin(phase)
    while true {
      var count = 0
      let arrived_ns = monotonic_ns()
      load.now_ns = arrived_ns
      maintain(now_ns: arrived_ns)
      while count < 32, let frame = port.next() {
        session.receive(
          frame: frame.bytes, from: frame.source, now_ns: arrived_ns, completions: &load)
        count += 1
      }
      let now_ns = count > 0 ? monotonic_ns() : arrived_ns
      load.now_ns = now_ns
      let isOver = now_ns >= end_ns || EarlyEnd.isWanted
      if !isOver {
        while session.hasRoom, let request = load.next() {
          _ = session.submit(
            request.operation, slot: request.slot, buffer: request.buffer,
            request: UInt64(request.index), now_ns: now_ns)
        }
      }
      let due_ns = session.poll(now_ns: now_ns, sink: &port, completions: &load)
      port.flush()
      if session.outstanding == 0, isOver || load.isExhausted { break }
      if count > 0 {
        lastFrame_ns = now_ns
      } else if now_ns &- lastFrame_ns >= busyPoll_ns {
        let wait_ms = due_ns > now_ns ? min((due_ns - now_ns) / 1_000_000, 100) : 0
        if wait_ms > 0 { port.wait(timeout_ms: Int32(wait_ms)) }
      } else {
        // Whoever else wants this core gets it: it may be the very one whose frame we wait for.
        sched_yield()
      }
    }
    return Double(monotonic_ns() - start_ns) / 1e9
  }

  mutating func detach() {
    session.detach(sink: &port)
    port.flush()
  }

  /// Looks after the connection; whether there is a new one.
  @discardableResult
  mutating func maintain(now_ns: UInt64) -> Bool {
    guard let server = port.maintain(now_ns: now_ns) else { return false }
    session.reconnected(to: server, now_ns: now_ns)
    return true
  }
}

private struct IgnoredCompletions: CompletionSink {
  mutating func completed(request: UInt64, outcome: Outcome) {}
}
