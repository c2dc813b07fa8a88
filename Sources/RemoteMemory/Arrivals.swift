// SPDX-License-Identifier: Apache-2.0
import CRMAP
import Links
import RMAP

/// What happens to a program's pages: takes in what a session brings and what the kernel reports.
struct Arrivals: CompletionSink, ~Copyable {
  /// The number of a request that tells the server something, in place of a slot.
  static let tellBit: UInt64 = 1 << 63

  var placer: Placer
  var faults = FaultTable()
  var report = RemoteMemoryReport()
  var now_ns: UInt64 = 0
  var pushesHaveEnded = false
  /// Reads under way.
  var reads = 0
  /// What told the server of the post-copy has been answered: how.
  var told: [(request: UInt64, outcome: Outcome)] = []
  var failure: RemoteMemoryError?
  private let latencies: UnsafeMutablePointer<UInt64>
  private var events = EventBatch()

  init(_ placer: consuming Placer) {
    report.slots = placer.states.slots
    self.placer = placer
    latencies = .allocate(capacity: Int(MEMX_HISTOGRAM_BUCKETS))
    latencies.initialize(repeating: 0, count: Int(MEMX_HISTOGRAM_BUCKETS))
    told.reserveCapacity(64)
  }

  deinit { latencies.deallocate() }

  /// Nobody waits, and nothing is to come.
  var isComplete: Bool { pushesHaveEnded && reads == 0 && faults.count == 0 }

  /// The percentile of demand fetches so far, nanoseconds.
  func demand_ns(percent: UInt32) -> UInt64 {
    memx_histogram_percentile(latencies, percent) * 1000
  }

  // MARK: From the kernel

  /// Reads the events of one program's memory.
  mutating func takeEvents(of index: Int) {
    // What finds no room stays in the kernel.
    guard failure == nil, !faults.isFull else { return }
    faults.now_ns = now_ns
    do throws(RemoteMemoryError) {
      try placer.takeEvents(of: index, batch: &events, sink: &faults)
    } catch { failure = error }
  }

  // MARK: From the session

  mutating func arrived(slot: UInt64, page: UnsafeRawPointer?, isPush: Bool) {
    if isPush { report.pushed += 1 } else { report.fetched += 1 }
    guard failure == nil else { return }
    do throws(RemoteMemoryError) {
      let before = placer.counters.alreadyThere + placer.counters.unwanted
      while try !placer.place(slot: slot, page: page) {
        for index in 0..<placer.userfaultfds.count { takeEvents(of: index) }
        try placer.flush()
      }
      if isPush {
        report.alreadyThere += placer.counters.alreadyThere + placer.counters.unwanted - before
      }
    } catch { failure = error }
    settle(slot)
  }

  private mutating func settle(_ slot: UInt64) {
    guard faults.count > 0 else { return }
    let now_ns = monotonic_ns()
    guard let fault = faults.remove(slot, now_ns: now_ns) else { return }
    let waited_ns = now_ns &- fault.start_ns
    report.blocked_ns += waited_ns
    if fault.isAsked {
      latencies[Int(memx_histogram_bucket(waited_ns / 1000))] += 1
    } else {
      report.announcedFaults += 1
    }
  }

  mutating func announced(first: UInt64, count: Int) {
    placer.states.announce(first: first, count: count)
  }

  mutating func pushesEnded() { pushesHaveEnded = true }

  mutating func completed(request: UInt64, outcome: Outcome) {
    guard request & Self.tellBit == 0 else {
      told.append((request, outcome))
      return
    }
    reads -= 1
    guard outcome != .done, failure == nil else { return }
    do throws(RemoteMemoryError) {
      while try !placer.lose(slot: request) {
        for index in 0..<placer.userfaultfds.count { takeEvents(of: index) }
      }
      report.lost += 1
    } catch { failure = error }
    settle(request)
  }
}
