// SPDX-License-Identifier: Apache-2.0
import Prepaging

/// A link as a post-copy sees it.
struct ModelLink {
  /// A page's time on the wire: 32.8 µs is the paper's gigabit.
  var pageUs = 32.8
  /// One way.
  var latencyUs = 30.0
  /// Pages that are on the wire or next to it, where nothing overtakes them.
  var inFlight = 2
  /// Pages that are chosen but can still be overtaken.
  var plan = 4
}

/// What a post-copy came to.
struct Outcome {
  /// Waits whose page had to be requested.
  var networkFaults = 0
  /// Waits for a page that was already on its way.
  var awaited = 0
  /// Pages touched before everything had arrived.
  var touched = 0
  var blockedUs = 0.0
  /// Until the last page, or the last process, was done.
  var totalUs = 0.0

  var networkFaultPercent: Double { 100 * Double(networkFaults) / Double(max(1, touched)) }
}

/// A guest after its move: processes on a few cores, a link, and a server that pushes as a strategy
/// says.
///
/// A demand fetch goes ahead of all that is not yet next to the wire, a planned page that a program
/// comes to wait for likewise.
struct Model: ~Copyable {
  private enum Event {
    case run(core: Int)
    case request(slot: Int, process: Int)
    case sent
    case arrival(slot: Int)
  }

  private struct Core {
    var process: Int?
    var sliceEndUs = 0.0
  }

  private let workload: Workload
  private let link: ModelLink
  private var prepager: Prepager
  private var events = EventQueue<Event>()
  private var nowUs = 0.0
  private var outcome = Outcome()

  // The client.
  private var present: [Bool]
  private var seen: [Bool]
  private var waiting: [Int: [Int]] = [:]
  /// Slots that the server has promised: who needs one waits and does not ask.
  private var isPromised: [Bool]
  /// How long promised pages took of late; who waits twice as long asks, as in the client.
  private var promisedUs = 0.0
  private var blockedSinceUs: [Double]
  private var position: [Int]
  private var ready: [Int] = []
  private var readyHead = 0
  private var cores: [Core]
  private var unfinished: Int
  private var missing: Int

  // The server.
  private var demands: [Int] = []
  /// What goes with the answers to faults, by slot.
  private var promises: [Int: Promise] = [:]
  private var demandHead = 0
  private var planned: [Int] = []
  private var inFlight = 0
  private var wireFreeUs = 0.0

  static func run(
    _ workload: Workload, _ strategy: Strategy, link: ModelLink = ModelLink(), cores: Int = 2
  ) -> Outcome {
    var model = Model(workload, strategy, link: link, cores: cores)
    return model.run()
  }

  private init(_ workload: Workload, _ strategy: Strategy, link: ModelLink, cores: Int) {
    self.workload = workload
    self.link = link
    prepager = Prepager(strategy, slots: workload.slots, order: workload.order)
    prepager.add(SlotRange(first: 0, count: workload.slots))
    present = Array(repeating: false, count: workload.slots)
    seen = present
    isPromised = present
    let processes = workload.processes.count
    blockedSinceUs = Array(repeating: 0, count: processes)
    position = Array(repeating: 0, count: processes)
    ready = Array(0..<processes)
    self.cores = Array(repeating: Core(), count: cores)
    unfinished = processes
    missing = workload.slots
  }

  private mutating func run() -> Outcome {
    startCores()
    pump()
    while missing > 0, unfinished > 0, let event = events.pop() {
      nowUs = event.time
      switch event.value {
      case .run(let core): run(core)
      case .request(let slot, let process): request(slot, process)
      case .sent:
        inFlight -= 1
        pump()
      case .arrival(let slot): arrive(slot)
      }
    }
    outcome.totalUs = nowUs
    return outcome
  }

  private mutating func run(_ core: Int) {
    guard let process = cores[core].process else { return }
    let touches = workload.processes[process]
    while true {
      guard position[process] < touches.count else {
        unfinished -= 1
        return leave(core)
      }
      let touch = touches[position[process]]
      let slot = Int(touch.slot)
      if !seen[slot] {
        seen[slot] = true
        outcome.touched += 1
      }
      guard present[slot] else {
        blockedSinceUs[process] = nowUs
        waiting[slot, default: []].append(process)
        if waiting[slot]!.count == 1 {
          let patienceUs = isPromised[slot] ? min(max(3000, 2 * promisedUs), 100_000) : 0
          events.push(
            .request(slot: slot, process: process), at: nowUs + patienceUs + link.latencyUs)
        }
        return leave(core)
      }
      position[process] += 1
      let end = nowUs + Double(touch.us)
      if end >= cores[core].sliceEndUs, readyHead < ready.count {
        // Its turn ends with this touch.
        ready.append(process)
        cores[core].process = nil
        start(core, atUs: end)
        return
      }
      if let next = events.firstTime, next <= end {
        events.push(.run(core: core), at: end)
        return
      }
      nowUs = end
    }
  }

  private mutating func leave(_ core: Int) {
    cores[core].process = nil
    start(core, atUs: nowUs)
  }

  private mutating func start(_ core: Int, atUs time: Double) {
    guard readyHead < ready.count else { return }
    cores[core].process = ready[readyHead]
    cores[core].sliceEndUs = time + 1000
    readyHead += 1
    events.push(.run(core: core), at: time)
  }

  private mutating func startCores() {
    for core in cores.indices where cores[core].process == nil { start(core, atUs: nowUs) }
  }

  private mutating func arrive(_ slot: Int) {
    precondition(!present[slot], "slot \(slot) came twice")
    present[slot] = true
    missing -= 1
    if let promise = promises.removeValue(forKey: slot) {
      for step in 0..<abs(promise.count) {
        isPromised[promise.first + (promise.count > 0 ? step : -step)] = true
      }
    }
    guard let processes = waiting.removeValue(forKey: slot) else { return }
    if isPromised[slot] {
      promisedUs += (nowUs - blockedSinceUs[processes[0]] - promisedUs) / 8
    }
    for process in processes {
      outcome.blockedUs += nowUs - blockedSinceUs[process]
      ready.append(process)
    }
    startCores()
  }

  private mutating func request(_ slot: Int, _ process: Int) {
    if present[slot] {
      // Its promise was kept.
      outcome.awaited += 1
      return
    }
    if prepager.fault(slot, context: UInt32(process + 1)) {
      outcome.networkFaults += 1
      demands.append(slot)
      promises[slot] = prepager.promise
    } else {
      outcome.awaited += 1
      if let index = planned.firstIndex(of: slot) {
        planned.remove(at: index)
        demands.append(slot)
      }
    }
    pump()
  }

  private mutating func pump() {
    while true {
      while planned.count < link.plan, let slot = prepager.next() { planned.append(slot) }
      guard inFlight < link.inFlight else { return }
      let slot: Int
      if demandHead < demands.count {
        slot = demands[demandHead]
        demandHead += 1
      } else if !planned.isEmpty {
        slot = planned.removeFirst()
      } else {
        return
      }
      inFlight += 1
      wireFreeUs = max(nowUs, wireFreeUs) + link.pageUs
      events.push(.sent, at: wireFreeUs)
      events.push(.arrival(slot: slot), at: wireFreeUs + link.latencyUs)
    }
  }
}
