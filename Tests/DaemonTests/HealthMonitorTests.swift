// SPDX-License-Identifier: Apache-2.0
import Daemon
import Testing

@Suite struct HealthMonitorTests {
  @Test func anEngineThatStandsStillHasStopped() {
    var monitor = HealthMonitor(limit_ns: 100)
    #expect(monitor.stopped([("a", 1), ("b", 1)], now_ns: 0).isEmpty)
    #expect(monitor.stopped([("a", 1), ("b", 2)], now_ns: 100).isEmpty)
    #expect(monitor.stopped([("a", 1), ("b", 3)], now_ns: 101) == ["a"])
    #expect(monitor.stopped([("a", 1), ("b", 3)], now_ns: 202) == ["a", "b"])
    #expect(monitor.stopped([("a", 2), ("b", 3)], now_ns: 203) == ["b"])
    #expect(monitor.stopped([("a", 2), ("b", 4)], now_ns: 303).isEmpty)
  }
}
