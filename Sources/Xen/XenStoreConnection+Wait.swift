// SPDX-License-Identifier: Apache-2.0
import Glibc

extension XenStoreConnection {
  /// Waits for the next change.
  ///
  /// - Parameters:
  ///   - timeout_ms: the longest wait; negative for no limit.
  ///   - wake: a descriptor that ends the wait when it is readable; -1 for none.
  /// - Returns: nil when there was none in time, or `wake` was readable.
  public func waitForEvent(timeout_ms: Int, wake: Int32 = -1) throws(XenError) -> XenStoreEvent? {
    let deadline_ms = monotonic_ms() + Int64(timeout_ms)
    while true {
      if let event = try nextEvent() { return event }
      let left_ms = timeout_ms < 0 ? -1 : max(0, deadline_ms - monotonic_ms())
      var descriptors = (
        pollfd(fd: eventDescriptor, events: Int16(POLLIN), revents: 0),
        pollfd(fd: wake, events: Int16(POLLIN), revents: 0)
      )
      let ready = withUnsafeMutableBytes(of: &descriptors) {
        poll($0.baseAddress!.assumingMemoryBound(to: pollfd.self), 2, Int32(clamping: left_ms))
      }
      if ready < 0, errno != EINTR { throw XenError("cannot wait for XenStore", code: errno) }
      if descriptors.1.revents != 0 { return nil }
      if ready == 0 || left_ms == 0 { return try nextEvent() }
    }
  }
}

private func monotonic_ms() -> Int64 {
  var now = timespec()
  clock_gettime(CLOCK_MONOTONIC, &now)
  return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
}
