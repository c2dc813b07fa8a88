// SPDX-License-Identifier: Apache-2.0
import RMAP
import Testing

@testable import Simulation

/// The modelled wire, whose frames here take 1 µs each: what arrives when.
@Suite struct SimulatedLinkTests {
  private static let payload = [UInt8](repeating: 1, count: 960)

  private func link(
    burst_bytes: Int = 0, latency_ns: UInt64 = 0, queue_bytes: UInt64 = 1 << 20
  ) -> SimulatedLink {
    SimulatedLink(
      LinkModel(
        rate_bytes_s: 1_000_000_000, latency_ns: latency_ns, overhead_bytes: 0,
        burst_bytes: burst_bytes, mtu: 1500, queue_bytes: queue_bytes), seed: 1)
  }

  private func send(
    _ slots: [UInt64], isBulk: Bool, at now_ns: UInt64, over link: inout SimulatedLink
  ) {
    link.isBulk = isBulk
    for slot in slots {
      Self.payload.withUnsafeBytes {
        link.append(
          Header(opcode: Opcode.push.rawValue, session: 1, slot: slot), payload: $0,
          to: MACAddress(value: 2), mtu: 1500)
      }
    }
    link.flush(now_ns: now_ns)
  }

  /// Slots and the times, in ns, at which they arrive.
  private func arrivals(_ link: inout SimulatedLink) -> [[UInt64]] {
    var found: [[UInt64]] = []
    while link.next_ns != .max {
      let time_ns = link.next_ns
      guard let frame = link.removeFirst() else { continue }
      found.append([Header(at: frame.bytes.baseAddress!).slotIndex, time_ns])
    }
    return found
  }

  @Test func anAnswerOvertakesAllButThePushOnTheWire() {
    var link = link(latency_ns: 100)
    send([1, 2, 3], isBulk: true, at: 0, over: &link)
    send([9], isBulk: false, at: 500, over: &link)
    #expect(arrivals(&link) == [[1, 1100], [9, 2100], [2, 3100], [3, 4100]])
  }

  @Test func answersStayInOrder() {
    var link = link()
    send([1, 2], isBulk: true, at: 0, over: &link)
    send([8], isBulk: false, at: 100, over: &link)
    send([9], isBulk: false, at: 200, over: &link)
    #expect(arrivals(&link) == [[1, 1000], [8, 2000], [9, 3000], [2, 4000]])
  }

  @Test func anIdleWireDelaysNobody() {
    var link = link()
    send([1], isBulk: true, at: 0, over: &link)
    send([9], isBulk: false, at: 5000, over: &link)
    #expect(arrivals(&link) == [[1, 1000], [9, 6000]])
  }

  @Test func aTokenBucketLetsGoOfNoFrameBeforeItsTime() {
    var link = link(burst_bytes: 2000)
    // Two at once, then one each microsecond.
    send([1, 2, 3, 4], isBulk: true, at: 0, over: &link)
    send([9], isBulk: false, at: 500, over: &link)
    #expect(arrivals(&link) == [[1, 0], [2, 0], [9, 1000], [3, 2000], [4, 3000]])
  }

  @Test func aFullQueueDrops() {
    var link = link(queue_bytes: 2000)
    send([1, 2, 3, 4, 5], isBulk: true, at: 0, over: &link)
    #expect(arrivals(&link) == [[1, 1000], [2, 2000], [3, 3000]])
    #expect(link.counters.overflowed == 2)
  }
}
