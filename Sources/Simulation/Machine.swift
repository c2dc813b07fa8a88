// SPDX-License-Identifier: Apache-2.0
import RMAP

/// A guest's threads on its cores: they take turns, and wait for missing pages.
///
/// A core runs ahead of the simulated time as long as its thread finds its pages, which never go away again.
struct Machine: ~Copyable {
  private struct Thread {
    var touches: AnyIterator<Touch>
    var touch: Touch?
    var isBlocked = false
  }

  private struct Core {
    var thread: Int?
    var sliceEnd_ns: UInt64 = 0
    /// When it goes on; `UInt64.max`: there is nothing to do.
    var due_ns = UInt64.max
  }

  /// How far a core runs ahead at most.
  private static let ahead_ns: UInt64 = 1_000_000

  private let model: MachineModel
  private var threads: [Thread]
  private var cores: [Core]
  /// Threads that could run, from `readyHead` on in the order of their turns.
  private var ready: [Int]
  private var readyHead = 0
  private var unfinished: Int
  /// When the last thread finished; nil as long as one has not.
  private(set) var finished_ns: UInt64?
  /// First touches of pages that were there.
  private(set) var minorFaults: UInt64 = 0
  /// Touches of any kind.
  private(set) var touches: UInt64 = 0
  private let seen: SlotSet

  /// Threads that have not started.
  init(_ program: Program, _ model: MachineModel, slots: UInt64) {
    self.model = model
    seen = SlotSet(slots: slots)
    threads = program.threads.map { make in
      let touches = make()
      return Thread(touches: touches, touch: touches.next())
    }
    unfinished = threads.count
    ready = Array(threads.indices)
    cores = Array(repeating: Core(), count: min(model.cores, max(1, threads.count)))
  }

  mutating func start(now_ns: UInt64) {
    if threads.isEmpty { finished_ns = now_ns }
    for core in cores.indices { cores[core].due_ns = now_ns }
  }

  /// When to call `run` again at the latest.
  var due_ns: UInt64 { cores.reduce(.max) { min($0, $1.due_ns) } }

  /// Lets the cores go on whose time has come.
  mutating func run(now_ns: UInt64, states: inout SlotStates, faults: inout FaultTable) {
    for core in cores.indices where cores[core].due_ns <= now_ns {
      run(core, now_ns: now_ns, &states, &faults)
    }
  }

  private mutating func run(
    _ core: Int, now_ns: UInt64, _ states: inout SlotStates, _ faults: inout FaultTable
  ) {
    var time_ns = now_ns
    while true {
      guard let thread = cores[core].thread ?? takeTurn(core, at_ns: time_ns) else {
        cores[core].due_ns = .max
        return
      }
      guard let touch = threads[thread].touch else {
        unfinished -= 1
        if unfinished == 0 { finished_ns = time_ns }
        cores[core].thread = nil
        cores[core].due_ns = time_ns
        return
      }
      guard states[touch.slot] == .present else {
        // It may have come by then.
        if time_ns > now_ns { break }
        _ = seen.insert(touch.slot)
        if states.await(touch.slot) {
          faults.now_ns = now_ns
          faults.add(slot: touch.slot, thread: UInt32(thread + 1))
        }
        threads[thread].isBlocked = true
        cores[core].thread = nil
        continue
      }
      touches += 1
      if seen.insert(touch.slot) { minorFaults += 1 }
      time_ns += touch.compute_ns
      threads[thread].touch = threads[thread].touches.next()
      if time_ns >= cores[core].sliceEnd_ns, readyHead < ready.count {
        ready.append(thread)
        cores[core].thread = nil
        break
      }
      if time_ns > now_ns + Self.ahead_ns { break }
    }
    cores[core].due_ns = time_ns
  }

  private mutating func takeTurn(_ core: Int, at_ns: UInt64) -> Int? {
    guard readyHead < ready.count else { return nil }
    let thread = ready[readyHead]
    readyHead += 1
    if readyHead >= 64, readyHead * 2 > ready.count {
      ready.removeFirst(readyHead)
      readyHead = 0
    }
    cores[core].thread = thread
    cores[core].sliceEnd_ns = at_ns + model.slice_ns
    return thread
  }

  /// The page that threads wait for has come.
  mutating func wake(slot: UInt64, now_ns: UInt64) {
    for index in threads.indices
    where threads[index].isBlocked && threads[index].touch?.slot == slot {
      threads[index].isBlocked = false
      ready.append(index)
      if let idle = cores.firstIndex(where: { $0.due_ns == .max }) {
        cores[idle].due_ns = now_ns + model.wake_ns
      }
    }
  }
}
