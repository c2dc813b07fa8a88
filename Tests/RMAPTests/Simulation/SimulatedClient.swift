// SPDX-License-Identifier: Apache-2.0
import RMAP

/// A client under simulation: a session, what it asks for, and what it may get.
final class SimulatedClient {
  let address: MACAddress
  let region: RegionName
  let schedule: Schedule
  var session: ClientSession
  var packer = Packer()
  var nextPoll_ns: UInt64 = 0
  var pausedUntil_ns: UInt64 = 0
  /// Requests still to be asked for before the slots are read back.
  private(set) var left: Int
  private(set) var model: [SlotModel]
  private(set) var violations: [String] = []
  private(set) var acknowledgedWrites = 0
  private(set) var submittedWrites = 0
  private(set) var restarts = 0
  private var outstanding: [UInt64: SimulatedRequest] = [:]
  private var busy: [Bool]
  private var buffers: [UnsafeMutableRawPointer]
  private var freeBuffers: [Int]
  private var numbers: UInt64 = 0
  private var values: UInt64
  private var readBack: [UInt64] = []
  private var readingBack = false
  private var losses = 0
  private var attachID: UInt64 = 1
  private var completed = 0

  init(index: Int, schedule: Schedule) {
    address = MACAddress(value: 0x0200_0000_0001 + UInt64(index))
    region = RegionName("region-\(index)")!
    self.schedule = schedule
    session = Self.makeSession(region, schedule, attachID: 1)
    left = schedule.requests
    let slots = Int(schedule.slots)
    model = Array(repeating: SlotModel(), count: slots)
    busy = Array(repeating: false, count: slots)
    buffers = (0..<schedule.depth).map { _ in
      .allocate(byteCount: Wire.pageBytes, alignment: 16)
    }
    freeBuffers = Array(0..<schedule.depth)
    values = UInt64(index) << 32
  }

  deinit {
    for buffer in buffers { buffer.deallocate() }
  }

  private static func makeSession(
    _ region: RegionName, _ schedule: Schedule, attachID: UInt64
  ) -> ClientSession {
    ClientSession(
      ClientConfiguration(
        region: region, mtu: schedule.clientMTU, queueDepth: schedule.depth,
        server: schedule.broadcast ? .broadcast : Simulation.server,
        giveUp_ns: schedule.giveUp_ns, attachID: attachID))
  }

  private func violated(_ what: String) {
    if violations.count < 20 { violations.append("\(region): \(what)") }
  }

  /// Everything asked for has completed, and every slot has been read back.
  var isDone: Bool { left == 0 && readingBack && readBack.isEmpty && outstanding.isEmpty }

  /// Everything but the reading back is done.
  var awaitsReadBack: Bool { left == 0 && !readingBack && outstanding.isEmpty }

  /// Reads every slot, which with a network in order must succeed in the end.
  func startReadBack() {
    readingBack = true
    readBack = (0..<schedule.slots).map { $0 }
  }

  // MARK: Asking

  /// Asks for as much as there is room for.
  ///
  /// - Returns: requests asked for.
  func submit(_ random: inout SeededRandom, now_ns: UInt64) -> Int {
    var submitted = 0
    while now_ns >= pausedUntil_ns, session.hasRoom, left > 0 || !readBack.isEmpty {
      if let slot = readBack.last {
        guard !busy[Int(slot)] else { break }
        readBack.removeLast()
        ask(.read, slot: slot, count: 1, now_ns: now_ns)
      } else {
        guard askSomething(&random, now_ns: now_ns) else { break }
        left -= 1
      }
      submitted += 1
    }
    return submitted
  }

  private func askSomething(_ random: inout SeededRandom, now_ns: UInt64) -> Bool {
    let slots = schedule.slots
    let slot = UInt64(random.below(Int(slots)))
    switch random.below(40) {
    case 0:
      let past = random.once(in: 2) ? slots + UInt64(random.below(3)) : UInt64.max
      ask(random.pick([.read, .write]), slot: past, count: 1, now_ns: now_ns)
    case 1:
      ask(.discard, slot: slot, count: UInt32(slots - slot) + 1, now_ns: now_ns)
    case 2, 3:
      ask(.flush, slot: 0, count: 0, now_ns: now_ns)
    case 4...7:
      let count = random.within(1...Int(min(4, slots - slot)))
      guard !busy[Int(slot)..<Int(slot) + count].contains(true) else { return false }
      ask(.discard, slot: slot, count: UInt32(count), now_ns: now_ns)
    case 8...23:
      guard !busy[Int(slot)] else { return false }
      ask(.read, slot: slot, count: 1, now_ns: now_ns)
    default:
      guard !busy[Int(slot)] else { return false }
      ask(.write, slot: slot, count: 1, zero: random.once(in: 6), now_ns: now_ns)
    }
    return true
  }

  private func ask(
    _ operation: ClientSession.Operation, slot: UInt64, count: UInt32, zero: Bool = false,
    now_ns: UInt64
  ) {
    guard let buffer = freeBuffers.popLast() else { return violated("more room than the depth") }
    let inside = slot < schedule.slots && UInt64(count) <= schedule.slots - slot
    var request = SimulatedRequest(
      operation: operation, slot: slot, count: count, value: 0, buffer: buffer, losses: losses,
      before: inside && operation == .read ? model[Int(slot)] : SlotModel())
    if operation == .write {
      values += 1
      request.value = zero ? 0 : values
      PageContents.fill(buffers[buffer], value: request.value)
      submittedWrites += 1
    } else {
      buffers[buffer].initializeMemory(as: UInt8.self, repeating: 0xEE, count: Wire.pageBytes)
    }
    if inside { setBusy(request, true) }
    numbers += 1
    outstanding[numbers] = request
    if !session.submit(
      operation, slot: slot, count: max(1, count), buffer: buffers[buffer], request: numbers,
      now_ns: now_ns)
    {
      violated("no room although there was")
    }
  }

  private func setBusy(_ request: SimulatedRequest, _ value: Bool) {
    guard request.operation != .flush else { return }
    for slot in request.slot..<request.slot + UInt64(request.count) { busy[Int(slot)] = value }
  }

  // MARK: Getting

  /// Checks what a session has completed against what it may.
  func take(_ completions: Completions) {
    for (number, outcome) in completions.list {
      guard let request = outstanding.removeValue(forKey: number) else {
        violated("request \(number) completed twice, or was never asked for")
        continue
      }
      completed += 1
      check(request, outcome)
      freeBuffers.append(request.buffer)
    }
  }

  private func check(_ request: SimulatedRequest, _ outcome: Outcome) {
    let inside =
      request.slot < schedule.slots && UInt64(request.count) <= schedule.slots - request.slot
    guard inside else {
      if outcome != .timedOut, outcome != .refused(.outOfRange) {
        violated("\(request.operation) past the end: \(outcome)")
      }
      return
    }
    setBusy(request, false)
    let lossBetween = request.losses != losses
    switch request.operation {
    case .flush:
      if outcome != .done, outcome != .timedOut { violated("flush: \(outcome)") }
    case .read:
      checkRead(request, outcome, lossBetween)
    case .write:
      changed(request, outcome, to: request.value, lossBetween)
      if outcome == .done { acknowledgedWrites += 1 }
      if outcome == .refused(.noSpace), schedule.quota == .max { violated("no space") }
    case .discard:
      changed(request, outcome, to: 0, lossBetween)
    case .hint, .have, .begin, .end, .window:
      violated("\(request.operation) was never asked for")
    }
  }

  /// A write or discard has ended: its slots have the new contents, or if it failed, either.
  private func changed(
    _ request: SimulatedRequest, _ outcome: Outcome, to value: UInt64, _ lossBetween: Bool
  ) {
    for slot in Int(request.slot)..<Int(request.slot) + Int(request.count) {
      if outcome == .done, !lossBetween {
        model[slot] = SlotModel(values: [value])
      } else {
        model[slot].values.insert(value)
      }
    }
    switch outcome {
    case .done, .timedOut, .refused(.noSpace): break
    default: violated("\(request.operation) of slot \(request.slot): \(outcome)")
    }
  }

  private func checkRead(_ request: SimulatedRequest, _ outcome: Outcome, _ lossBetween: Bool) {
    let slot = Int(request.slot)
    let now = model[slot]
    switch outcome {
    case .done:
      let value = PageContents.value(of: buffers[request.buffer])
      guard now.allows(value) || lossBetween && request.before.allows(value) else {
        return violated(
          "slot \(slot) read as \(value.map(String.init) ?? "a mixture"), may be \(now)")
      }
      // What was found stays, whatever is still under way.
      if !lossBetween { model[slot] = SlotModel(values: [value!]) }
    case .refused(.lost):
      guard now.lost else { return violated("slot \(slot) lost without a loss: \(now)") }
      if !lossBetween { model[slot].values = [] }
    case .timedOut:
      if readingBack { readBack.append(request.slot) }
    case .refused:
      violated("read of slot \(slot): \(outcome)")
    }
  }

  // MARK: Bad days

  func storeLost() {
    losses += 1
    for slot in model.indices { model[slot].storeLost(claimsData: session.grant != nil) }
  }

  /// The client's host starts again: its requests are forgotten, and it claims no data.
  func restart() {
    restarts += 1
    for request in outstanding.values {
      freeBuffers.append(request.buffer)
      guard request.slot < schedule.slots,
        UInt64(request.count) <= schedule.slots - request.slot
      else { continue }
      setBusy(request, false)
      guard request.operation == .write || request.operation == .discard else { continue }
      for slot in request.slot..<request.slot + UInt64(request.count) {
        model[Int(slot)].values.insert(request.value)
      }
    }
    outstanding = [:]
    for slot in model.indices where model[slot].lost { model[slot].values.insert(0) }
    attachID += 1_000_000
    session = Self.makeSession(region, schedule, attachID: attachID)
    completed = 0
  }

  /// Checks that the session has counted what it did.
  func checkCounters(corruptedFrames: Int) {
    let counters = session.counters
    if Int(counters.completed + counters.failed) != completed { violated("completions miscounted") }
    if counters.badChecksums > corruptedFrames { violated("bad checksums without corruption") }
    if corruptedFrames == 0, counters.badFrames != 0 { violated("bad frames without corruption") }
    if session.outstanding != 0 { violated("requests outstanding at the end") }
  }
}
