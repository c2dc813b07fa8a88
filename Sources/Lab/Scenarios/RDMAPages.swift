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
      findings.progress.note("the same region by messages, over both links")
      await findings.check(
        try await pair.pages("\(rdma) --region c --queue-depth 8 --duration 2"), "linear_rdma")
      await findings.check(
        try await pair.pages("--link eth0 --region c --queue-depth 8 --duration 2"),
        "linear_ethernet")

      findings.progress.note("what the server's device must refuse")
      let refused = try await pair.client.run("memx-bench refusals \(rdma) --region c")
      await findings.expect(refused.contains("refusals"), "refusals: \(refused)")
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

extension Findings {
  /// Takes the figures of a run in which every page must have been right.
  func check(_ pages: RDMAPair.Pages, _ name: String) {
    expect(pages.pages > 0, "\(name): no page was read")
    expect(pages.failures == 0, "\(name): \(pages.failures) requests failed")
    expect(pages.wrong_pages == 0, "\(name): \(pages.wrong_pages ?? -1) pages were wrong")
    set("\(name)_pages_s", .number(pages.pages_per_s))
    set("\(name)_p50_us", .number(pages.p50_us))
    set("\(name)_p99_us", .number(pages.p99_us))
  }
}
