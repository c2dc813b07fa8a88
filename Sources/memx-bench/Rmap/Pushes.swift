// SPDX-License-Identifier: Apache-2.0
import Glibc
import Links
import RMAP

extension RmapClient where Port: ~Copyable {
  /// Takes every page that the region holds as the server pushes them, each once.
  ///
  /// - Parameter buffers: where the server is to write them; nil: it is to send them.
  /// - Returns: seconds from asking for the pushes to the end of them.
  /// - Throws: when the server refuses, or the session ends before all have come: pages of two sessions would not
  ///   be one measurement.
  mutating func takePushes(
    _ load: inout PageLoad, into buffers: PushBuffers?
  ) throws(RmapError) -> Double {
    let start_ns = monotonic_ns()
    try tell(.begin, BeginRequest(strategy: "push", buffers: buffers).payload, &load)
    try take(&load) { $0.pushesHaveEnded }
    let elapsed_s = Double(monotonic_ns() - start_ns) / 1e9
    try tell(.end, EndRequest().payload, &load)
    return elapsed_s
  }

  /// Sends a request with a payload of its own, and takes in what comes until it is answered.
  private mutating func tell(
    _ operation: ClientSession.Operation, _ payload: [UInt8], _ load: inout PageLoad
  ) throws(RmapError) {
    let buffer = UnsafeMutableRawPointer.allocate(byteCount: payload.count, alignment: 8)
    defer { buffer.deallocate() }
    buffer.copyMemory(from: payload, byteCount: payload.count)
    load.toldOutcome = nil
    _ = session.submit(
      operation, slot: 0, buffer: buffer, length: payload.count, request: PageLoad.told,
      now_ns: monotonic_ns())
    try take(&load) { $0.toldOutcome != nil }
    guard load.toldOutcome == .done else {
      throw RmapError(description: "the server does not push: \(load.toldOutcome!.reason)")
    }
  }

  /// Takes in what comes, and acknowledges it, until something is so.
  private mutating func take(
    _ load: inout PageLoad, until isDone: (borrowing PageLoad) -> Bool
  ) throws(RmapError) {
    var lastFrame_ns = monotonic_ns()
    while !isDone(load) {
      let now_ns = monotonic_ns()
      load.now_ns = now_ns
      maintain(now_ns: now_ns)
      var count = 0
      while count < 32, let frame = port.next() {
        session.receive(
          frame: frame.bytes, from: frame.source, now_ns: now_ns, completions: &load)
        count += 1
      }
      _ = session.poll(now_ns: now_ns, sink: &port, completions: &load)
      port.flush()
      guard session.state == .live else {
        throw RmapError(description: "the session has ended before every page was pushed")
      }
      if count > 0 {
        lastFrame_ns = now_ns
      } else if now_ns &- lastFrame_ns >= busyPoll_ns {
        port.wait(timeout_ms: 10)
      } else {
        // Whoever else wants this core gets it: it may be the very one whose frame we wait for.
        sched_yield()
      }
    }
  }
}
