// SPDX-License-Identifier: Apache-2.0
import RMAP
import Testing

@testable import RemoteMemory

@Suite struct TouchLogTests {
  @Test func eachThreadHasAnOrderOfItsOwn() {
    let log = TouchLog(capacity: 16)
    #expect(log.extents.isEmpty)
    for (slot, thread) in [(8, 70), (0, 71), (9, 70), (1, 71), (3, 71), (10, 70), (2, 0), (4, 71)] {
      log.append(UInt64(slot), thread: UInt32(thread))
    }
    #expect(
      log.extents == [
        Extent(slot: 8, count: 3), Extent(slot: 0, count: 2), Extent(slot: 3, count: 2),
        Extent(slot: 2, count: 1),
      ])
  }

  @Test func whatFindsNoRoomIsLeftOut() {
    let log = TouchLog(capacity: 2)
    for slot in 5..<9 as Range<UInt64> { log.append(slot, thread: 1) }
    #expect(log.extents == [Extent(slot: 5, count: 2)])
  }
}
