// SPDX-License-Identifier: Apache-2.0
import Prepaging
import RMAP

/// A guest that has moved: its session with the server, its memory and its threads.
///
/// Does in simulated time what RemoteMemory's service thread does in real time.
struct Guest: ~Copyable {
  private enum Phase {
    case attaching
    case hinting
    case beginning
    case moving
    case ending
    case ended
  }

  private static let queueDepth = 64

  private let address: MACAddress
  private var session: ClientSession
  private var arrivals: Arrivals
  private var phase = Phase.attaching
  private var nextHint = 0
  private var start_ns: UInt64 = 0
  /// The LRU order as it goes over the wire, then BEGIN, then END.
  private let payloads: UnsafeMutableRawBufferPointer
  private let strategy: Strategy

  init(
    _ index: Int, program: Program, strategy: Strategy, slots: UInt64, machine: MachineModel,
    server: MACAddress, mtu: Int
  ) {
    address = SimulatedStore.address(of: index)
    self.strategy = strategy
    session = ClientSession(
      ClientConfiguration(
        region: RegionName("guest")!, mtu: mtu, queueDepth: Self.queueDepth, server: server,
        attachID: 1))
    arrivals = Arrivals(program, machine, slots: slots)
    let extents = strategy.usesOrder ? program.order : []
    precondition(extents.count <= Wire.maxOrderExtents)
    hintCount = extents.count
    let begin = BeginRequest(strategy: strategy.description, extents: extents.count).payload
    let end = EndRequest().payload
    beginBytes = begin.count
    payloads = .allocate(
      byteCount: extents.count * Wire.extentBytes + begin.count + end.count, alignment: 8)
    for (at, extent) in extents.enumerated() { extent.store(in: payloads.baseAddress!, at: at) }
    let tail = extents.count * Wire.extentBytes
    UnsafeMutableRawBufferPointer(rebasing: payloads[tail...]).copyBytes(from: begin + end)
  }

  private let hintCount: Int
  private let beginBytes: Int

  deinit { payloads.deallocate() }

  /// Is there nothing left to simulate?
  var isDone: Bool {
    if arrivals.failure != nil { return true }
    guard isProgramDone else { return false }
    return phase == .ended || !strategy.pushes && arrivals.reads == 0
  }

  private var isProgramDone: Bool { arrivals.machine.finished_ns != nil }

  /// Why it went no further, nil when it did not fail.
  var failure: String? {
    if case .refused(let status) = session.state { return "the attach was refused: \(status)" }
    return arrivals.failure
  }

  /// Touches so far.
  var touches: UInt64 { arrivals.machine.touches }

  var report: GuestReport {
    var report = arrivals.report
    report.minorFaults = arrivals.machine.minorFaults
    report.program_ns = arrivals.machine.finished_ns.map { $0 - start_ns }
    if report.transfer_ns == 0 { report.transfer_ns = strategy.pushes ? nil : report.program_ns }
    return report
  }

  /// Takes in a frame.
  mutating func receive(_ frame: borrowing SimulatedLink.Arrival, now_ns: UInt64) {
    arrivals.now_ns = now_ns
    session.receive(frame: frame.bytes, from: frame.from, now_ns: now_ns, completions: &arrivals)
  }

  /// Does what is to be done.
  ///
  /// - Returns: when to call again at the latest.
  mutating func turn(now_ns: UInt64, link: inout SimulatedLink) -> UInt64 {
    arrivals.now_ns = now_ns
    tell(now_ns: now_ns)
    arrivals.machine.run(now_ns: now_ns, states: &arrivals.states, faults: &arrivals.faults)
    let asked = arrivals.faults.ask(&session, states: &arrivals.states, now_ns: now_ns)
    arrivals.reads += asked
    arrivals.report.networkFaults += UInt64(asked)
    session.noteUnusedPushes(UInt32(truncatingIfNeeded: arrivals.report.alreadyThere))
    link.source = address
    let due_ns = session.poll(now_ns: now_ns, sink: &link, completions: &arrivals)
    link.flush(now_ns: now_ns)
    return min(
      due_ns, arrivals.faults.due_ns(now_ns: now_ns), arrivals.machine.due_ns)
  }

  /// The LRU order, that the post-copy begins, and when all has come, that it ends.
  private mutating func tell(now_ns: UInt64) {
    switch phase {
    case .attaching:
      guard session.state == .live else { return }
      phase = .hinting
      return tell(now_ns: now_ns)
    case .hinting:
      while nextHint < hintCount, session.hasRoom {
        let count = min(Wire.maxHintExtents, hintCount - nextHint)
        submit(
          .hint, count: nextHint, at: nextHint * Wire.extentBytes,
          length: count * Wire.extentBytes, now_ns: now_ns)
        nextHint += count
      }
      guard nextHint == hintCount, arrivals.tells == 0 else { return }
      phase = .beginning
      submit(
        .begin, at: hintCount * Wire.extentBytes, length: beginBytes, now_ns: now_ns)
    case .beginning:
      guard arrivals.tells == 0 else { return }
      phase = .moving
      start_ns = now_ns
      arrivals.machine.start(now_ns: now_ns)
    case .moving:
      guard arrivals.isComplete else { return }
      phase = .ending
      arrivals.report.transfer_ns = now_ns - start_ns
      let at = hintCount * Wire.extentBytes + beginBytes
      submit(.end, at: at, length: payloads.count - at, now_ns: now_ns)
    case .ending:
      if arrivals.tells == 0 { phase = .ended }
    case .ended: break
    }
  }

  private mutating func submit(
    _ operation: ClientSession.Operation, count: Int = 0, at: Int, length: Int, now_ns: UInt64
  ) {
    arrivals.tells += 1
    _ = session.submit(
      operation, slot: 0, count: UInt32(count), buffer: payloads.baseAddress! + at,
      length: length, request: Arrivals.tellBit, now_ns: now_ns)
  }
}
