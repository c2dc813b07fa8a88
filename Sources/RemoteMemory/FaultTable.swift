// SPDX-License-Identifier: Apache-2.0

/// The faults that programs wait for now, and how long the earlier ones waited.
///
/// Room is made once. One thread uses it.
struct FaultTable: FaultSink, ~Copyable {
  struct Fault {
    var slot: UInt64
    var thread: UInt32
    /// The server was asked for the page.
    var isAsked: Bool
    var start_ns: UInt64
  }

  /// A batch of events always finds room.
  private static let capacity = 4096
  private static let reserve = 64
  /// When the events that are being read were noticed.
  var now_ns: UInt64 = 0
  private let faults: UnsafeMutablePointer<Fault>
  private(set) var count = 0
  /// Faults that have not been asked for, whether or not their page is announced.
  private(set) var unasked = 0

  init() { faults = .allocate(capacity: Self.capacity) }

  deinit { faults.deallocate() }

  var isFull: Bool { count > Self.capacity - Self.reserve }

  subscript(index: Int) -> Fault { faults[index] }

  mutating func faulted(slot: UInt64, thread: UInt32, isWrite: Bool, isFirst: Bool) {
    // Another thread waits for it already; both wake.
    guard isFirst, count < Self.capacity else { return }
    faults[count] = Fault(slot: slot, thread: thread, isAsked: false, start_ns: now_ns)
    count += 1
    unasked += 1
  }

  mutating func markAsked(_ index: Int) {
    faults[index].isAsked = true
    unasked -= 1
  }

  /// The server has to be asked for everything again.
  mutating func forgetAsked() {
    for index in 0..<count { faults[index].isAsked = false }
    unasked = count
  }

  /// Takes out the fault of a slot, nil when nobody waits for it.
  mutating func remove(_ slot: UInt64) -> Fault? {
    for index in 0..<count where faults[index].slot == slot {
      let fault = faults[index]
      count -= 1
      faults[index] = faults[count]
      if !fault.isAsked { unasked -= 1 }
      return fault
    }
    return nil
  }
}
