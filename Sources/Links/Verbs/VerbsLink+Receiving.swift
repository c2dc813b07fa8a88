// SPDX-License-Identifier: Apache-2.0
import CMemx
import CVerbs
import Glibc
import RMAP

extension VerbsLink {
  /// The next frame that has come in, or nil. Gives the buffer of the one before back to the device.
  public mutating func next() -> Frame? {
    if let index = held {
      held = nil
      post(receive: index)
    }
    while fill() {
      let completion = batch[batchPosition]
      batchPosition += 1
      let index = Int(truncatingIfNeeded: completion.id & 0xFFFF_FFFF)
      guard completion.status == 0, let entry = numbers.find(completion.connection),
        connections[entry].phase != .ending, let buffer = buffer(of: completion, receive: index)
      else {
        refusals.frames += 1
        post(receive: index)
        continue
      }
      connections[entry].phase = .open
      held = index
      return Frame(
        bytes: UnsafeRawBufferPointer(start: buffer, count: Int(completion.bytes)),
        source: peer(of: entry))
    }
    return nil
  }

  /// Where the bytes of a frame are; nil of a write that was not asked for.
  @inline(__always)
  private func buffer(
    of completion: memx_verbs_completion, receive index: Int
  ) -> UnsafeMutableRawPointer? {
    guard completion.is_written else { return receiveBuffers[index] }
    guard let pushBuffers else { return nil }
    let index = PushBuffers.index(of: completion.immediate)
    let room = (pushBuffers.count - index) * pushBuffers.stride
    return completion.bytes <= room ? pushBuffers[index] : nil
  }

  /// Has `batch` a completion to look at? Asks the device when there was none left.
  @inline(__always)
  private mutating func fill() -> Bool {
    if batchPosition < batchCount { return true }
    batchPosition = 0
    batchCount = max(0, Int(memx_verbs_poll_receives(verbs, batch, Int32(Self.batchCapacity))))
    return batchCount > 0
  }

  func post(receive index: Int) {
    // Fails only with the device, which `isUp` tells.
    _ = memx_verbs_post_receive(
      verbs, Work.id(Work.receive, index), receiveBuffers[index], UInt32(Self.frameBytes),
      receiveBuffers.localKey)
  }

  /// Waits until a frame comes in, something happens to a connection, another descriptor is readable, or the time is
  /// over.
  ///
  /// - Parameters:
  ///   - timeout_ns: `.max` for ever.
  ///   - wake: a descriptor that ends the wait; -1 for none.
  ///   - forSends: also until something that was sent is acknowledged.
  /// - Returns: whether `wake` is readable; false also when there was nothing to wait for.
  @discardableResult
  public mutating func wait(
    timeout_ns: UInt64, wake: Int32 = -1, forSends: Bool = false
  ) -> Bool {
    memx_verbs_arm(verbs, forSends)
    // What came before the queue was armed wakes nobody.
    if fill() || forSends && takeSends() > 0 { return false }
    var descriptors = (
      pollfd(fd: memx_verbs_completion_fd(verbs), events: Int16(POLLIN), revents: 0),
      pollfd(fd: memx_verbs_event_fd(verbs), events: Int16(POLLIN), revents: 0),
      pollfd(fd: wake, events: Int16(POLLIN), revents: 0)
    )
    withUnsafeMutableBytes(of: &descriptors) { bytes in
      _ = memx_poll(bytes.baseAddress!.assumingMemoryBound(to: pollfd.self), 3, timeout_ns)
    }
    memx_verbs_disarm(verbs)
    return descriptors.2.revents != 0
  }
}
