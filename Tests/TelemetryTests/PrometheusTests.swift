// SPDX-License-Identifier: Apache-2.0
import Foundation
import Telemetry
import TestSupport
import Testing

@Suite struct PrometheusTests {
  @Test func writesHelpTypeAndSamples() {
    var text = PrometheusText()
    text.metric("memx_things_total", .counter, "Things.")
    text.sample(UInt64(3), ["link": "eth0"])
    text.sample(UInt64.max)
    text.metric("memx_share", .gauge, "A share.")
    text.sample(0.25)
    #expect(
      text.text == """
        # HELP memx_things_total Things.
        # TYPE memx_things_total counter
        memx_things_total{link="eth0"} 3
        memx_things_total 18446744073709551615
        # HELP memx_share A share.
        # TYPE memx_share gauge
        memx_share 0.25

        """)
  }

  @Test func escapes() {
    var text = PrometheusText()
    text.metric("a", .gauge, "back\\slash \"quote\"\nline")
    text.sample(UInt64(1), ["l": "back\\slash \"quote\"\nline"])
    #expect(
      text.text == #"""
        # HELP a back\\slash "quote"\nline
        # TYPE a gauge
        a{l="back\\slash \"quote\"\nline"} 1

        """#)
  }

  @Test func writesWhatIsNoNumber() {
    var text = PrometheusText()
    text.metric("a", .gauge, "")
    text.sample(Double.nan)
    text.sample(Double.infinity)
    text.sample(-Double.infinity)
    #expect(text.text.hasSuffix("a NaN\na +Inf\na -Inf\n"))
  }

  @Test func theServersMetricsAreInOrder() throws {
    let metrics = try PrometheusParser.parse(ServerStatus.example.prometheus)
    #expect(metrics["memx_link_reads_total"]?.samples == ["link=eth\"0": 12, "link=eth1": 0])
    #expect(metrics["memx_region_stored_bytes"]?.samples == ["region=a": 40960, "region=b": 0])
    #expect(metrics["memx_region_attached"]?.samples == ["region=a": 1, "region=b": 0])
    #expect(metrics["memx_link_engine_cpu_seconds_total"]?.samples["link=eth1"] == 1.5)
    for (name, metric) in metrics {
      #expect(name.hasPrefix("memx_"))
      #expect((metric.type == "counter") == name.hasSuffix("_total"), "\(name)")
      #expect(metric.help.hasSuffix("."), "\(name)")
      #expect(!metric.help.hasPrefix("Events named"), "\(name) is not described")
    }
  }

  @Test func theParserRefusesWhatIsWrong() {
    for wrong in [
      "a 1\n", "# HELP a x\na 1\n", "# HELP a x\n# TYPE a gauge\na one\n",
      "# HELP a x\n# TYPE a gauge\na{b=1} 1\n", "# HELP a x\n# TYPE a gauge\na 1",
      "# HELP a x\n# TYPE a gauge\na 1\na 2\n", "# HELP a x\n# TYPE a gauge\nb 1\n",
    ] {
      #expect(throws: TestFailure.self) { try PrometheusParser.parse(wrong) }
    }
  }
}

@Suite struct ServerStatusTests {
  @Test func aRegionWithoutASessionSaysSo() throws {
    let data = try JSONEncoder().encode(ServerStatus.example)
    let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    #expect(object["schema"] as? Int == 1)
    let regions = try #require(object["regions"] as? [[String: Any]])
    #expect(regions[0]["session"] is [String: Any])
    #expect(regions[1]["session"] is NSNull)
    #expect(regions[1]["stored_pages"] as? Int == 0)
    #expect(regions.map { $0["domain"] as? Int } == [nil, 3])
    #expect(try JSONDecoder().decode(ServerStatus.self, from: data) == ServerStatus.example)
  }
}

extension ServerStatus {
  static var example: ServerStatus {
    let session = Session(
      id: "0x00000001", link: "eth\"0", client: "02:00:00:00:00:01", mtu: 1500, queue_depth: 128,
      credits: 64, idle_ms: 5)
    return ServerStatus(
      uptime_s: 1.5, start_time_s: 1000, healthy: true, memory_bytes: 1 << 30, free_bytes: 1 << 29,
      stored_bytes: 40960,
      links: [link("eth\"0", reads: 12), link("eth1", reads: 0)],
      regions: [
        Region(
          name: "a", slots: 100, quota_pages: 50, stored_pages: 10, reserved_bytes: 2 << 20,
          incarnation: "00000000000000ff", session: session),
        Region(
          name: "b", slots: 100, quota_pages: 50, stored_pages: 0, reserved_bytes: 0,
          incarnation: "00000000000000fe", domain: 3, session: nil),
      ])
  }

  private static func link(_ name: String, reads: UInt64) -> Link {
    Link(
      name: name, address: "02:00:00:00:00:02", up: true, mtu: 1500, sessions: 1, rx_frames: 20,
      rx_dropped: 0, rx_bad: 0, connections_refused: 0, tx_frames: 30, tx_written: 0,
      tx_bytes: 3000, tx_dropped: 0, tx_calls: 3,
      sleeps: 1,
      cpu_us: 1_500_000, counters: ["reads": reads])
  }
}
