// SPDX-License-Identifier: Apache-2.0
import CMemx
import Glibc
import Links
import Synchronization

/// What a service thread and those who wait for it share.
final class ServiceState: Sendable {
  let stopping = Atomic<Bool>(false)
  let wakeDescriptor: Int32
  /// Readable from the end on.
  private let endDescriptor: Int32
  private let report = Mutex(RemoteMemoryReport())

  init() throws(RemoteMemoryError) {
    wakeDescriptor = memx_wake_open()
    endDescriptor = memx_wake_open()
    guard wakeDescriptor >= 0, endDescriptor >= 0 else {
      throw .system("cannot make an eventfd", errno)
    }
  }

  deinit {
    close(wakeDescriptor)
    close(endDescriptor)
  }

  func publish(_ new: RemoteMemoryReport) {
    report.withLock { $0 = new }
    if new.phase == .complete || new.phase == .ended { memx_wake(endDescriptor) }
  }

  /// Waits for the end, whatever it is; nil when it has not come within `timeout_ms`, below 0 for ever.
  func waitForEnd(timeout_ms: Int32) -> RemoteMemoryReport? {
    let end_ns = monotonic_ns() + UInt64(max(0, timeout_ms)) * 1_000_000
    var left_ms = timeout_ms
    var descriptor = pollfd(fd: endDescriptor, events: Int16(POLLIN), revents: 0)
    // A signal only interrupts the wait.
    while poll(&descriptor, 1, left_ms) < 1 {
      guard timeout_ms >= 0 else { continue }
      let now_ns = monotonic_ns()
      guard now_ns < end_ns else { return nil }
      left_ms = Int32((end_ns - now_ns + 999_999) / 1_000_000)
    }
    return current
  }

  var current: RemoteMemoryReport { report.withLock { $0 } }

  func stop() {
    stopping.store(true, ordering: .releasing)
    memx_wake(wakeDescriptor)
  }
}
