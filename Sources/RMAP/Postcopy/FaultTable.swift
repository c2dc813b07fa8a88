// SPDX-License-Identifier: Apache-2.0

/// The faults that programs wait for now: since when, and whether the server has been asked.
///
/// Room is made once. One thread uses it.
public struct FaultTable: ~Copyable {
  /// A fault whose page has not come.
  public struct Fault: Sendable {
    public var slot: UInt64
    /// Which thread of control waits, 0 when not known.
    public var thread: UInt32
    /// The server was asked for the page.
    public internal(set) var isAsked: Bool
    public var start_ns: UInt64
  }

  /// Bounds of how long an announced page is waited for before it is asked for all the same.
  static let patienceRange_ns: ClosedRange<UInt64> = 3_000_000...100_000_000
  /// How far into a promise a program may go and still wait without asking, in pages: at its far end it would wait for all
  /// before it.
  private static let near: UInt64 = 8
  /// How often to see whether patience is at its end.
  private static let look_ns: UInt64 = 500_000
  /// A batch of events always finds room.
  private static let reserve = 64

  private let faults: UnsafeMutablePointer<Fault>
  private let capacity: Int
  /// How long announced pages take of late.
  private var wait_ns: UInt64 = 0
  /// When the faults that are being added were noticed.
  public var now_ns: UInt64 = 0
  public private(set) var count = 0
  /// Faults that have not been asked for, whether or not their page is announced.
  public private(set) var unasked = 0

  /// - Parameter capacity: the most faults at a time, above 64.
  public init(capacity: Int = 4096) {
    precondition(capacity > Self.reserve)
    self.capacity = capacity
    faults = .allocate(capacity: capacity)
  }

  deinit { faults.deallocate() }

  /// Could another batch of 64 events find no room?
  public var isFull: Bool { count > capacity - Self.reserve }

  public subscript(index: Int) -> Fault {
    precondition(index < count)
    return faults[index]
  }

  /// Notes a fault of a slot that nobody waited for before; without room it is dropped.
  public mutating func add(slot: UInt64, thread: UInt32) {
    guard count < capacity else { return }
    faults[count] = Fault(slot: slot, thread: thread, isAsked: false, start_ns: now_ns)
    count += 1
    unasked += 1
  }

  /// Longer than any queue: twice what announced pages took of late, as many programs may share the link.
  var patience_ns: UInt64 {
    min(max(2 * wait_ns, Self.patienceRange_ns.lowerBound), Self.patienceRange_ns.upperBound)
  }

  /// Asks the server for what is waited for, as far as the session has room; but not for what it has said it
  /// pushes, unless that cannot come soon, or has been awaited for too long.
  ///
  /// - Parameter states: what is announced; what is asked for is requested from now on.
  /// - Returns: for how many pages.
  public mutating func ask(
    _ session: inout ClientSession, states: inout SlotStates, now_ns: UInt64
  ) -> Int {
    guard unasked > 0 else { return 0 }
    var asked = 0
    for index in 0..<count where !faults[index].isAsked {
      guard session.hasRoom else { break }
      let fault = faults[index]
      if states[fault.slot] == .announced {
        let waited_ns = now_ns &- fault.start_ns
        if waited_ns >= patience_ns {
          note(waited_ns)
        } else if !isFar(fault.slot, states) {
          continue
        }
      }
      faults[index].isAsked = true
      states.set(fault.slot, .requested)
      _ = session.submit(
        .read, slot: fault.slot, count: fault.thread, buffer: nil, request: fault.slot,
        now_ns: now_ns)
      asked += 1
    }
    unasked -= asked
    return asked
  }

  /// Whether many pages come before an announced one: those on one side of it are all announced, and none about it has
  /// come. Pages that were announced one by one come one after the other, wherever they are.
  private func isFar(_ slot: UInt64, _ states: borrowing SlotStates) -> Bool {
    guard !states.isPresent(anyNear: slot, within: Self.near) else { return false }
    return states.run(.announced, from: slot + 1, limit: Self.near) == Self.near
      || slot >= Self.near
        && states.run(.announced, from: slot - Self.near, limit: Self.near) == Self.near
  }

  /// When to call `ask` again at the latest.
  public func due_ns(now_ns: UInt64) -> UInt64 { unasked > 0 ? now_ns + Self.look_ns : .max }

  private mutating func note(_ waited_ns: UInt64) {
    wait_ns = wait_ns - wait_ns / 8 + waited_ns / 8
  }

  /// Takes out the fault of a slot that has come, nil when nobody waits for it.
  public mutating func remove(_ slot: UInt64, now_ns: UInt64) -> Fault? {
    for index in 0..<count where faults[index].slot == slot {
      let fault = faults[index]
      count -= 1
      faults[index] = faults[count]
      if !fault.isAsked {
        unasked -= 1
        note(now_ns &- fault.start_ns)
      }
      return fault
    }
    return nil
  }
}
