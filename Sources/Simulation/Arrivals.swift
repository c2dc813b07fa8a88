// SPDX-License-Identifier: Apache-2.0
import CRMAP
import RMAP

/// What happens to a simulated guest's pages: takes in what its session brings, for its threads.
struct Arrivals: CompletionSink, ~Copyable {
  /// The number of a request that tells the server something, in place of a slot.
  static let tellBit: UInt64 = 1 << 63

  var states: SlotStates
  var faults: FaultTable
  var machine: Machine
  var report = GuestReport()
  var now_ns: UInt64 = 0
  var pushesHaveEnded = false
  /// Reads under way.
  var reads = 0
  /// Tells under way.
  var tells = 0
  var failure: String?

  init(_ program: Program, _ model: MachineModel, slots: UInt64) {
    machine = Machine(program, model, slots: slots)
    states = SlotStates(slots: slots)
    // A thread waits for one page at a time.
    faults = FaultTable(capacity: program.threads.count + 65)
  }

  /// Nobody waits, and nothing is to come.
  var isComplete: Bool { pushesHaveEnded && reads == 0 && faults.count == 0 }

  mutating func arrived(slot: UInt64, page: UnsafeRawPointer?, isPush: Bool) {
    if isPush { report.pushed += 1 } else { report.fetched += 1 }
    guard states[slot] != .present else {
      report.alreadyThere += 1
      return
    }
    let isAwaited = states.isAwaited(slot)
    states.set(slot, .present)
    guard isAwaited, let fault = faults.remove(slot, now_ns: now_ns) else { return }
    machine.wake(slot: slot, now_ns: now_ns)
    let waited_ns = now_ns - fault.start_ns
    report.blocked_ns += waited_ns
    if fault.isAsked {
      report.demand_us[Int(memx_histogram_bucket(waited_ns / 1000))] += 1
    } else {
      report.announcedFaults += 1
    }
  }

  mutating func announced(first: UInt64, count: Int) { states.announce(first: first, count: count) }

  mutating func pushesEnded() { pushesHaveEnded = true }

  mutating func completed(request: UInt64, outcome: Outcome) {
    if request & Self.tellBit == 0 { reads -= 1 } else { tells -= 1 }
    if outcome != .done { failure = "request \(request): \(outcome)" }
  }
}
