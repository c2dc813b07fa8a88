// SPDX-License-Identifier: Apache-2.0

extension Scenario {
  /// The second transport, from a client's program to the server's memory and back.
  public static let rdmaPages = Scenario(
    "rdma/rmap", "pages over soft-RoCE and Ethernet from one server at the same time, verified",
    usesModule: false, usesRDMA: true
  ) { bed, findings in
    try await RDMAPair.with(bed) { pair in
      let server = try await GuestServer.start(
        "--link rdma:rxe0 --link eth0 --region a:8M --region b:8M --region c:8M,layout=linear"
          + " --memory 24M --ring-frames 256",
        in: pair.server)
      let rdma = "--link rdma:\(RDMAPair.address)"

      for (name, depth) in [("rdma_qd1", 1), ("rdma_qd16", 16)] {
        findings.progress.note("pages over RDMA, \(depth) at a time")
        let pages = try await pair.pages("\(rdma) --region a --queue-depth \(depth) --duration 5")
        await findings.check(pages, name)
        await findings.expect(
          pages.retransmissions == 0, "\(name): \(pages.retransmissions) requests were sent again")
      }

      for (name, depth) in [("one_sided_qd1", 1), ("one_sided_qd16", 16)] {
        findings.progress.note("pages by RDMA reads and writes, \(depth) at a time")
        let before = try await server.idleStatus().links[0]
        let pages = try await pair.pages(
          "\(rdma) --region c --one-sided --queue-depth \(depth) --duration 5")
        let after = try await server.idleStatus().links[0]
        await findings.check(pages, name)
        await findings.set(
          "\(name)_server_cpu_us_per_page",
          .number(Double(after.cpu_us - before.cpu_us) / Double(max(1, pages.pages))))
        await findings.expect(
          after.counters["reads"] == before.counters["reads"],
          "\(name): the server's program has answered reads")
      }
      findings.progress.note(
        "pages by RDMA reads and writes, while the server's program is stopped")
      async let unattended = pair.pages(
        "\(rdma) --region c --one-sided --queue-depth 16 --duration 10")
      // A page in each, and more than all that was under way.
      let alone = try await server.stopped(for: 10_000)
      let all = try await unattended
      await findings.check(all, "server_stopped")
      await findings.set("server_stopped_packets_s", .number(alone.packets_s))
      await findings.expect(alone.ticks == 0, "a stopped server used \(alone.ticks) clock ticks")

      findings.progress.note("the same region by messages, over both links")
      await findings.check(
        try await pair.pages("\(rdma) --region c --queue-depth 8 --duration 2"), "linear_rdma")
      // To the other link a region is free when the session of this one has ended.
      try await server.until(sessions: 0)
      await findings.check(
        try await pair.pages("--link eth0 --region c --queue-depth 8 --duration 2"),
        "linear_ethernet")

      findings.progress.note("pushes, over both links")
      for (way, words) in [
        ("written", rdma), ("sent", "\(rdma) --sent-pushes"), ("ethernet", "--link eth0"),
      ] {
        let before = try await server.writtenFrames()
        let pushes = try await pair.pages("\(words) --region a --case push")
        await findings.check(pushes, "pushed_\(way)")
        await findings.expect(
          pushes.pages == 2048, "\(pushes.pages) of 2048 pages were pushed: \(way)")
        try await server.until(sessions: 0)
        let written = try await server.writtenFrames() - before
        await findings.expect(
          way == "written" ? (1024...2048).contains(written) : written == 0,
          "\(written) frames were written: \(way)")
      }

      findings.progress.note("what the server's device must refuse")
      let before = try await server.idleStatus().links[0]
      let refused = try await pair.client.run("memx-bench refusals \(rdma) --region c")
      await findings.expect(refused.contains("another version of RMAP"), "refusals: \(refused)")
      // The last that is refused has no session, whose end would have the engine tell its counters.
      try await server.until(
        metric: "memx_link_connections_refused_total", "n > \(before.connections_refused)")
      let after = try await server.idleStatus().links[0]
      // One that comes over a connection which has just ended counts too.
      await findings.expect(
        after.rx_bad > before.rx_bad, "the write that was not asked for has not been counted")
      await findings.expect(
        after.connections_refused == before.connections_refused + 1,
        "\(after.connections_refused - before.connections_refused) connections were refused, not one"
      )
      let log = try await server.guest.run("cat \(GuestServer.log)")
      await findings.expect(
        log.contains("remote access error"),
        "memxd does not say that its pushes were refused: \(log)")
      await findings.expect(
        try await pair.refusal("\(rdma) --region a --one-sided").contains("layout=linear"),
        "a region that is not linear could be reached directly")

      findings.progress.note("one client over RDMA, one over Ethernet")
      async let overRDMA = pair.pages("\(rdma) --region a --queue-depth 8 --duration 5")
      async let overEthernet = pair.pages("--link eth0 --region b --queue-depth 8 --duration 5")
      await findings.check(try await overRDMA, "both_rdma")
      await findings.check(try await overEthernet, "both_ethernet")

      try await server.stop()
    }
  }
}

extension GuestServer {
  /// A command that waits until its RDMA device has sent so many packets more.
  private static func sent(_ packets: Int) -> String {
    let counter = "/sys/class/infiniband/rxe0/ports/1/hw_counters/sent_pkts"
    return "before=$(cat \(counter)); until [ $(($(cat \(counter)) - before)) -ge \(packets) ]; do"
      + " usleep 20000; done"
  }

  /// Waits until its RDMA device has sent so many packets more: somebody is in the middle of something.
  func until(sends packets: Int) async throws { try await guest.run(Self.sent(packets)) }

  /// Stops its program, once its device sends pages, until that has sent so many packets more.
  ///
  /// - Returns: at which rate it sent them, and clock ticks that the program has used meanwhile.
  fileprivate func stopped(for packets: Int) async throws -> (packets_s: Double, ticks: Int) {
    let said = try await guest.run(
      """
      ticks() { awk '{ print $14 + $15 }' /proc/$pid/stat; }
      pid=$(cat /run/memxd.pid)
      \(Self.sent(1000))
      kill -STOP $pid
      used=$(ticks) start=$(cut -d' ' -f1 /proc/uptime)
      \(Self.sent(packets))
      echo $(cut -d' ' -f1 /proc/uptime) $start $(($(ticks) - used))
      kill -CONT $pid
      """)
    let numbers = said.split(separator: " ").compactMap { Double($0) }
    guard numbers.count == 3, numbers[0] > numbers[1] else {
      throw LabError("times and ticks are ‘\(said)’")
    }
    return (Double(packets) / (numbers[0] - numbers[1]), Int(numbers[2]))
  }
}

extension Findings {
  /// Takes the figures of a run in which every page must have been right.
  func check(_ pages: RDMAPair.Pages, _ name: String) {
    expect(pages.pages > 0, "\(name): no page was read")
    expect(pages.failures == 0, "\(name): \(pages.failures) requests failed")
    expect(pages.wrong_pages == 0, "\(name): \(pages.wrong_pages ?? -1) pages were wrong")
    set("\(name)_pages_s", .number(pages.pages_per_s))
    if let p50_us = pages.p50_us { set("\(name)_p50_us", .number(p50_us)) }
    if let p99_us = pages.p99_us { set("\(name)_p99_us", .number(p99_us)) }
  }
}
