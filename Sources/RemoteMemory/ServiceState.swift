// SPDX-License-Identifier: Apache-2.0
import CMemx
import Glibc
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

  /// Waits for the end, whatever it is.
  func waitForEnd() -> RemoteMemoryReport {
    var descriptor = pollfd(fd: endDescriptor, events: Int16(POLLIN), revents: 0)
    while poll(&descriptor, 1, -1) < 1 {}
    return current
  }
  var current: RemoteMemoryReport { report.withLock { $0 } }

  func stop() {
    stopping.store(true, ordering: .releasing)
    memx_wake(wakeDescriptor)
  }
}
