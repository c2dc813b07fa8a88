// SPDX-License-Identifier: Apache-2.0

extension Scenario {
  /// The second transport, from a client's program to the server's memory and back.
  static let rdmaPages = Scenario(
    "rdma/rmap", "pages over soft-RoCE and Ethernet from one server at the same time, verified",
    usesModule: false, usesRDMA: true
  ) { bed, findings in
    try await RDMAPair.with(bed) { pair in
      let server = try await GuestServer.start(
        "--link rdma:rxe0 --link eth0 --region a:8M --region b:8M --memory 16M --ring-frames 256",
        in: pair.server)
      let rdma = "--link rdma:\(RDMAPair.address)"

      for (name, depth) in [("rdma_qd1", 1), ("rdma_qd16", 16)] {
        findings.progress.note("pages over RDMA, \(depth) at a time")
        let pages = try await pair.pages("\(rdma) --region a --queue-depth \(depth) --duration 5")
        await findings.check(pages, name)
        await findings.expect(
          pages.retransmissions == 0, "\(name): \(pages.retransmissions) requests were sent again")
      }

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
    expect(pages.wrong_pages == 0, "\(name): \(pages.wrong_pages) pages were wrong")
    set("\(name)_pages_s", .number(pages.pages_per_s))
    set("\(name)_p50_us", .number(pages.p50_us))
    set("\(name)_p99_us", .number(pages.p99_us))
  }
}
