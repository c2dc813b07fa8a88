// SPDX-License-Identifier: Apache-2.0
import CMemx

/// Events of a userfaultfd, read many at a time.
public struct EventBatch: ~Copyable {
  /// What has happened to a program's memory.
  public enum Event: Sendable, Equatable {
    /// A thread came upon a missing page and waits. `thread` is its id in its own pid namespace; 0 from
    /// a descriptor without that feature.
    case fault(address: UInt64, thread: UInt32, isWrite: Bool)
    /// The program has given back the pages of a range (`MADV_DONTNEED`): they read as zeros from now on.
    case removed(start: UInt64, end: UInt64)
    /// The program has unmapped a range.
    case unmapped(start: UInt64, end: UInt64)
    /// The program has moved a mapping (`mremap`).
    case moved
    /// The program has forked; the child's descriptor is the reader's to close.
    case forked(descriptor: Int32)
    /// An event of a kind that this version does not know.
    case unknown(UInt8)
  }

  /// The most events it holds.
  public let capacity: Int
  /// How many there are.
  public internal(set) var count = 0
  let messages: UnsafeMutablePointer<uffd_msg>

  public init(capacity: Int = 64) {
    precondition(capacity > 0)
    self.capacity = capacity
    messages = .allocate(capacity: capacity)
    messages.initialize(repeating: uffd_msg(), count: capacity)
  }

  deinit { messages.deallocate() }

  public subscript(index: Int) -> Event {
    precondition(index < count)
    let message = UnsafePointer(messages + index)
    switch Int(memx_uffd_event(message)) {
    case MEMX_UFFD_EVENT_FAULT:
      return .fault(
        address: memx_uffd_fault_address(message), thread: memx_uffd_fault_thread(message),
        isWrite: memx_uffd_fault_is_write(message) != 0)
    case MEMX_UFFD_EVENT_REMOVE:
      return .removed(
        start: memx_uffd_removed_start(message), end: memx_uffd_removed_end(message))
    case MEMX_UFFD_EVENT_UNMAP:
      return .unmapped(
        start: memx_uffd_removed_start(message), end: memx_uffd_removed_end(message))
    case MEMX_UFFD_EVENT_REMAP: return .moved
    case MEMX_UFFD_EVENT_FORK:
      return .forked(descriptor: memx_uffd_forked(message))
    default: return .unknown(memx_uffd_event(message))
    }
  }
}
