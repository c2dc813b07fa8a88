// SPDX-License-Identifier: Apache-2.0
import Glibc
import RMAP

/// Is told which pages threads wait for.
public protocol FaultSink: ~Copyable {
  /// A thread waits for a slot that is neither present nor lost.
  ///
  /// - Parameters:
  ///   - thread: its id, as a context of the access order; 0 where the kernel does not say.
  ///   - isFirst: whether no other waits for it already.
  mutating func faulted(slot: UInt64, thread: UInt32, isWrite: Bool, isFirst: Bool)
}

extension FaultTable: FaultSink {
  public mutating func faulted(slot: UInt64, thread: UInt32, isWrite: Bool, isFirst: Bool) {
    // Another thread waits for it already; both wake.
    if isFirst { add(slot: slot, thread: thread) }
  }
}

extension Placer {
  /// Reads what has happened to a program's memory, and tells `sink` which pages are waited for. What
  /// `place` has gathered is placed first, so that none of it is asked for again.
  ///
  /// - Parameters:
  ///   - userfaultfd: an index of the table.
  ///   - batch: room for the events. When it comes back full, there may be more.
  /// - Throws: when the program does what cannot be followed: it forked or moved its mapping.
  public mutating func takeEvents(
    of userfaultfd: Int, batch: inout EventBatch, sink: inout some FaultSink & ~Copyable
  ) throws(RemoteMemoryError) {
    if hasStaged { try flush() }
    let count = try userfaultfds[userfaultfd].read(into: &batch)
    for index in 0..<count {
      switch batch[index] {
      case .fault(let address, let thread, let isWrite):
        try take(userfaultfd, address, thread, isWrite, &sink)
      case .removed(let start, let end), .unmapped(let start, let end):
        settle(userfaultfd, start, end)
      case .moved:
        throw RemoteMemoryError("the program has moved its memory (mremap), which is not followed")
      case .forked(let descriptor):
        close(descriptor)
        throw RemoteMemoryError(
          "the program has forked; its child would read zeros for missing pages: use MADV_DONTFORK")
      case .unknown(let kind):
        throw RemoteMemoryError("userfaultfd: event 0x\(String(kind, radix: 16)) is not known")
      }
    }
  }

  private mutating func take(
    _ userfaultfd: Int, _ address: UInt64, _ thread: UInt32, _ isWrite: Bool,
    _ sink: inout some FaultSink & ~Copyable
  ) throws(RemoteMemoryError) {
    counters.faults += 1
    guard let slot = areas.slot(userfaultfd: userfaultfd, address: address) else {
      throw RemoteMemoryError(
        "a fault at 0x\(String(address, radix: 16)), which is registered but in no area")
    }
    switch states[slot] {
    case .missing, .requested, .announced:
      let isFirst = states.await(slot)
      if isFirst { touches?.append(slot, thread: thread) }
      sink.faulted(slot: slot, thread: thread, isWrite: isWrite, isFirst: isFirst)
    case .present:
      counters.lateFaults += 1
      restore(userfaultfd, address / UInt64(Wire.pageBytes) * UInt64(Wire.pageBytes))
    case .lost:
      counters.lateFaults += 1
      userfaultfds[userfaultfd].wake(
        at: address / UInt64(Wire.pageBytes) * UInt64(Wire.pageBytes), pages: 1)
    }
  }

  /// Answers a fault of a slot that is present. Mostly the page came while the event was under way, and
  /// zeros cannot take its place. Else the program has given it back since, and zeros are right.
  private func restore(_ userfaultfd: Int, _ address: UInt64) {
    let placement = userfaultfds[userfaultfd].zero(at: address, pages: 1)
    if placement.obstacle != nil { userfaultfds[userfaultfd].wake(at: address, pages: 1) }
  }

  /// Marks the slots of a range of addresses that was removed or unmapped as present: what arrives for them is
  /// dropped.
  private mutating func settle(_ userfaultfd: Int, _ start: UInt64, _ end: UInt64) {
    let page = UInt64(Wire.pageBytes)
    for index in 0..<areas.count {
      let area = areas[index]
      let low = max(start, area.address)
      let high = min(end, area.addresses.upperBound)
      guard area.userfaultfd == userfaultfd, low < high else { continue }
      let first = area.firstSlot + (low - area.address) / page
      states.set(first..<first + (high - low + page - 1) / page, .present)
    }
  }
}
