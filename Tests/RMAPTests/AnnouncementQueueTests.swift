// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import RMAP

@Suite struct AnnouncementQueueTests {
  /// Takes all out.
  private func drain(_ queue: inout AnnouncementQueue) -> [UInt64] {
    var firsts: [UInt64] = []
    while let announcement = queue.removeFirst() { firsts.append(announcement.first) }
    return firsts
  }

  @Test func firstInFirstOutButForWhatIsUrgent() {
    var queue = AnnouncementQueue()
    for slot in 1...3 as ClosedRange<UInt64> { queue.append(Announcement(first: slot, count: 2)) }
    queue.prepend(Announcement(first: 9, count: -4))
    let urgent = queue.removeFirst()
    #expect(urgent == Announcement(first: 9, count: -4))
    let rest = drain(&queue)
    #expect(rest == [1, 2, 3])
  }

  @Test func theOldestIsForgottenWhenThereIsNoRoom() {
    var queue = AnnouncementQueue()
    for slot in 0..<70 as Range<UInt64> { queue.append(Announcement(first: slot, count: 1)) }
    let left = drain(&queue)
    #expect(left == Array(6..<70))
    for slot in 0..<64 as Range<UInt64> { queue.append(Announcement(first: slot, count: 1)) }
    queue.prepend(Announcement(first: 99, count: 1))
    let urgent = drain(&queue)
    #expect(urgent == [99] + Array(0..<63))
  }
}
