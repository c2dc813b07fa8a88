// SPDX-License-Identifier: Apache-2.0
import Glibc
import Links
import RMAP

extension RmapClient<VerbsPort> {
  /// How often the session and the connection are looked after while pages come.
  private static var care_ns: UInt64 { 1_000_000 }
  private static var refusalsAllowed: Int { 3 }

  /// Runs requests of `load` as RDMA reads and writes of the region's memory; otherwise as `run`.
  ///
  /// When the connection ends what is under way is begun again over the next. A refused access ends it too: a
  /// server's kernel withdraws the memory of a program that was killed before it ends its connections.
  ///
  /// - Returns: seconds from the first request to the last answer.
  /// - Throws: when the server does not let this client reach the memory, or its device has refused the first access
  ///   over `refusalsAllowed` connections in a row.
  mutating func runOneSided(
    _ load: inout PageLoad, _ phase: LoadPhase, duration_s: Double?
  ) throws(RmapError) -> Double {
    var reach = try openWindow(load.memory)
    var underWay = [Bool](repeating: false, count: load.queueDepth)
    var outstanding = 0
    var refusals = 0
    let start_ns = monotonic_ns()
    let end_ns = duration_s.map { start_ns + UInt64($0 * 1e9) } ?? .max
    var nextCare_ns = start_ns + Self.care_ns
    var last_ns = start_ns
    load.begin(phase)
    while true {
      let now_ns = monotonic_ns()
      load.now_ns = now_ns
      var count = 0
      while let done = port.takeFinished() {
        if done.wasRefused {
          refusals += 1
          guard refusals < Self.refusalsAllowed else {
            throw RmapError(description: "the server's device refuses access: \(done.reason)")
          }
        }
        // Of what failed with its connection, the next begins again.
        guard done.succeeded else { continue }
        refusals = 0
        underWay[done.id] = false
        outstanding -= 1
        load.completed(request: UInt64(done.id), outcome: .done)
        count += 1
      }
      if now_ns >= nextCare_ns {
        nextCare_ns = now_ns + Self.care_ns
        if try careForSession(now_ns: now_ns) {
          reach = try openWindow(load.memory)
          for index in underWay.indices where underWay[index] {
            port.start(load.request(index), localKey: reach.localKey, in: reach.window)
          }
        }
      }
      let isOver = now_ns >= end_ns || EarlyEnd.isWanted
      if !isOver {
        while let request = load.next() {
          underWay[request.index] = true
          outstanding += 1
          port.start(request, localKey: reach.localKey, in: reach.window)
        }
      }
      port.flush()
      if outstanding == 0, isOver || load.isExhausted { break }
      if count > 0 {
        last_ns = now_ns
      } else if now_ns &- last_ns >= busyPoll_ns {
        port.waitForAny(timeout_ms: 100)
        nextCare_ns = 0
      } else {
        // Whoever else wants this core gets it.
        sched_yield()
      }
    }
    return Double(monotonic_ns() - start_ns) / 1e9
  }

  /// What it takes to reach the region's memory.
  struct Reach {
    var window: MemoryWindow
    /// Of the client's own buffers.
    var localKey: UInt32
  }

  /// Takes in and sends what is the session's; whether it is a new one.
  private mutating func careForSession(now_ns: UInt64) throws(RmapError) -> Bool {
    var nothing = IgnoredCompletions()
    let isNew = maintain(now_ns: now_ns)
    while let frame = port.next() {
      session.receive(
        frame: frame.bytes, from: frame.source, now_ns: now_ns, completions: &nothing)
    }
    _ = session.poll(now_ns: now_ns, sink: &port, completions: &nothing)
    port.flush()
    return isNew || session.window == nil
  }

  /// Waits for a session, asks for its window, and registers the client's buffers with what carries it.
  mutating func openWindow(_ buffers: UnsafeMutableRawBufferPointer) throws(RmapError) -> Reach {
    let end_ns = monotonic_ns() + 30_000_000_000
    var answer = LastOutcome()
    var isAsked = false
    while session.window == nil {
      let now_ns = monotonic_ns()
      guard now_ns < end_ns else {
        throw RmapError(description: "no answer for 30 s to the request for the region's memory")
      }
      maintain(now_ns: now_ns)
      while let frame = port.next() {
        session.receive(
          frame: frame.bytes, from: frame.source, now_ns: now_ns, completions: &answer)
      }
      if let outcome = answer.outcome, outcome != .done {
        guard outcome == .refused(.badSession) else {
          throw RmapError(
            description: "the region's memory cannot be reached directly: \(outcome.reason);"
              + " it needs layout=linear at the server")
        }
        isAsked = false
      }
      if session.state == .live, !isAsked {
        answer.outcome = nil
        isAsked = session.submit(.window, slot: 0, buffer: nil, request: 0, now_ns: now_ns)
      }
      _ = session.poll(now_ns: now_ns, sink: &port, completions: &answer)
      port.flush()
      if session.window == nil { port.wait(timeout_ms: 10) }
    }
    do throws(LinkError) {
      return Reach(window: session.window!, localKey: try port.register(buffers))
    } catch { throw RmapError(description: error.description) }
  }
}

private struct IgnoredCompletions: CompletionSink {
  mutating func completed(request: UInt64, outcome: Outcome) {}
}

private struct LastOutcome: CompletionSink {
  var outcome: Outcome?
  mutating func completed(request: UInt64, outcome: Outcome) { self.outcome = outcome }
}

extension Outcome {
  /// For people.
  var reason: String {
    switch self {
    case .done: "done"
    case .refused(let status): status.description
    case .timedOut: "the server has not answered"
    }
  }
}
