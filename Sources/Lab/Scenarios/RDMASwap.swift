// SPDX-License-Identifier: Apache-2.0

extension Scenario {
  /// The main job over the second transport, and both transports at one server.
  public static let rdmaSwap = Scenario(
    "rdma/swap",
    "quicksort on twice a guest's memory over RDMA, a client over Ethernet, verified",
    usesRDMA: true
  ) { bed, findings in
    let memory_mib = bed.parts.accelerator == .kvm ? 1024 : 128
    let swap_mib = 3 * memory_mib
    await findings.set("guest_memory_mib", .count(memory_mib))
    try await RDMAPair.withSwappingClient(
      bed, memory_mib: swap_mib + 256, clientMemory_mib: memory_mib
    ) { pair in
      let server = try await GuestServer.start(
        "--link rdma:rxe0 --link eth0 --region swap:\(swap_mib)M,layout=linear --region other:8M"
          + " --memory \(swap_mib + 8)M --ring-frames 256", in: pair.server)
      let device = try await MemxDevice.swapOverRDMA(on: pair.client)

      async let other = bed.pagesFromHost("--region other --queue-depth 4 --duration 20")
      try await pair.sort(2 * memory_mib, findings)
      await findings.check(try await other, "ethernet")

      await findings.set("pages_out", .count(try await device.counter("writes")))
      await findings.set("pages_in", .count(try await device.counter("reads")))
      for name in ["errors", "bad_checksum", "lost_pages"] {
        let count = try await device.counter(name)
        await findings.expect(count == 0, "\(name) is \(count) on a good network")
      }
      // In a guest this short of memory soft-RoCE may lose a connection (docs/RDMA.md), but nothing with it. What is asked
      // for when the new one is there, but not yet its window, the server's program answers.
      let reconnects = try await device.counter("reconnects")
      await findings.set("reconnects", .count(reconnects))
      let starved = try await device.counter("tx_nomem")
      let answered = try await server.status().links[0].counters["reads"] ?? -1
      await findings.expect(
        answered == 0 || reconnects > 0,
        "the server's program has answered \(answered) reads of a linear region;"
          + " tx_nomem is \(starved)")
      try await device.remove()
      try await server.stop()
      try await pair.expectNothingLeft(findings)
    }
  }
}

extension RDMAPair {
  /// Sorts in the client.
  fileprivate func sort(_ data_mib: Int, _ findings: Findings) async throws {
    findings.progress.note("quicksort of \(data_mib) MiB")
    let sorted = try await client.outcome(
      Workload.bench("quicksort", size_mib: data_mib, processes: 4), in: .work,
      timeout: .seconds(1500))
    let measured = try Workload.measured(sorted)
    await findings.set("data_mib", .count(data_mib))
    await findings.set("quicksort_s", .number(measured.time_s))
    await findings.set("fault_p50_us", .number(measured.fault_p50_us))
    await findings.set("fault_p99_us", .number(measured.fault_p99_us))
  }
}

extension Bed {
  /// Runs `memx-bench rmap` over Ethernet on the host, which is one more machine on the pair's segment.
  fileprivate func pagesFromHost(_ arguments: String) async throws -> RDMAPair.Pages {
    let bench = try Repository.product("memx-bench").string
    let words = arguments.split(separator: " ").map(String.init)
    return try RDMAPair.Pages(
      try await Command.run(
        namespace.command([bench, "rmap", "--link", "br0", "--verify", "--json"] + words),
        timeout: .seconds(120)))
  }
}
