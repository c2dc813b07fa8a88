// SPDX-License-Identifier: Apache-2.0
import CMemx
import Console

/// What a workload reports to while it runs: it touches each page it comes to through the meter,
/// which times the touch, and says how much of its work is done.
///
/// A touch counts as a major fault when it was slow and the kernel's count of this thread's major
/// faults has grown since the last slow touch. Accesses that do not go through the meter (to the rest
/// of a page just touched, to a process's own few pages) can fault too, so fewer faults are timed
/// than the kernel counts, and one of those can lend its count to the next slow touch.
public struct Meter: ~Copyable {
  // Below this no touch was a major fault, and the kernel need not be asked: that costs a system
  // call. Reading a page back takes longer on any device.
  private let slowNs: UInt64

  /// Touches that were major faults.
  public private(set) var latency = FaultLatency()
  /// Touches of pages.
  public private(set) var touches: UInt64 = 0

  private var majorFaults: Int64
  private var unitsDone = 0
  private var unitsReported = 0
  private let unitsPerReport: Int
  private let report: (Int) -> Void

  /// A meter for a workload of `units` units of work, which calls `report` with the units done at
  /// most 200 times.
  public init(units: Int, report: @escaping (Int) -> Void) {
    unitsPerReport = max(1, units / 200)
    self.report = report
    majorFaults = memx_thread_major_faults()
    slowNs = max(1000, 4 * Self.quickestNs())
  }

  /// What reading the clock twice takes here: tens of nanoseconds, or microseconds where the clock
  /// is emulated.
  private static func quickestNs() -> UInt64 {
    var quickest = UInt64.max
    for _ in 0..<32 {
      let before = monotonicNs()
      quickest = min(quickest, monotonicNs() &- before)
    }
    return quickest
  }

  /// A meter that reports to nobody.
  public init() { self.init(units: Int.max) { _ in } }

  /// Loads the word at `word`, and times it.
  @inline(__always) mutating func load(_ word: UnsafePointer<UInt64>) -> UInt64 {
    let before = monotonicNs()
    let value = memx_touch_load(word)
    note(monotonicNs() &- before)
    return value
  }

  /// Stores `value` into the word at `word`, and times it.
  @inline(__always) mutating func store(_ word: UnsafeMutablePointer<UInt64>, _ value: UInt64) {
    let before = monotonicNs()
    memx_touch_store(word, value)
    note(monotonicNs() &- before)
  }

  /// Says that `units` more units of work are done.
  @inline(__always) mutating func advance(_ units: Int) {
    unitsDone &+= units
    if unitsDone &- unitsReported >= unitsPerReport { tell() }
  }

  @inline(__always) private mutating func note(_ ns: UInt64) {
    touches &+= 1
    if ns >= slowNs { noteSlow(ns) }
  }

  @inline(never) private mutating func noteSlow(_ ns: UInt64) {
    let now = memx_thread_major_faults()
    if now > majorFaults { latency.record(ns) }
    majorFaults = now
  }

  @inline(never) private mutating func tell() {
    unitsReported = unitsDone
    report(unitsDone)
  }
}
