// SPDX-License-Identifier: Apache-2.0

extension Scenario {
  /// The server's machine goes, and comes back without the pages: its clients must hear of it.
  public static let rdmaReboot = Scenario(
    "rdma/reboot", "the server's machine reboots: errors for what it held, never wrong data",
    usesRDMA: true
  ) { bed, findings in
    let start =
      "--link rdma:rxe0 --region linear:8M,layout=linear --region messages:4M --memory 12M"
      + " --ring-frames 64"
    try await RDMAPair.withRebootedServer(bed) { pair in
      let server = try await GuestServer.start(start, in: pair.server)
      let device = try await MemxDevice.overRDMA(on: pair.client, region: "linear", words: "")
      try await pair.client.run("dd if=/dev/urandom of=/run/pattern bs=64k count=64 2> /dev/null")
      try await device.copyPattern()
      // Whoever has lost the pages might come back with them: so long a client asks.
      try await pair.client.run("echo 40 > \(MemxDevice.sysfs)/timeout_s")
      try await pair.client.run(
        """
        memx-bench rmap --link rdma:\(RDMAPair.address) --region messages --queue-depth 4 --duration 60 \
          --timeout 50 --verify --json > /run/messages 2>&1 &
        """, in: .work)
      try await server.until(sends: 4096)
      findings.progress.note("the server's machine reboots")
    } after: { pair in
      let server = try await GuestServer.start(start, in: pair.server)
      let device = MemxDevice(guest: pair.client, modules: ["memx_rdma", "memx"])
      try await device.expectTimeout(findings)
      let log = try await pair.client.kernelLog()
      await findings.expect(
        log.contains("the server no longer has the pages"), "the kernel's log does not say why")

      try await pair.client.until("! pidof memx-bench > /dev/null", timeout: .seconds(120))
      let pages = try RDMAPair.Pages(try await pair.client.run("cat /run/messages"))
      await findings.set("reads_failed", .count(pages.failures))
      await findings.expect(pages.failures > 0, "no read of a lost page has failed")
      await findings.expect(
        pages.wrong_pages == 0, "wrong data in \(pages.wrong_pages ?? -1) pages")

      // As for a device that wants it, which soft-RoCE does not.
      findings.progress.note("attached anew, pages registered for each read")
      try await pair.client.run("memxctl detach --force memx0 && rmmod memx_rdma memx")
      let again = try await MemxDevice.overRDMA(
        on: pair.client, region: "linear", words: "", parameters: "register_always=1")
      try await again.copyPattern()
      let regions = try await pair.client.rdmaResources("mr")
      await findings.expect(
        regions.contains { $0.contains("[memx_rdma]") }, "the module has no memory regions")
      // 4 MiB were written, and read.
      let moved = try await again.counter("one_sided")
      await findings.set("one_sided_pages", .count(moved))
      await findings.expect(moved >= 1024, "\(moved) pages have been moved one-sided")
      findings.progress.note("detached by force while written, and unloaded")
      try await again.removeWhileWritten()
      try await server.stop()
      try await pair.expectNothingLeft(findings)
    }
  }
}

extension MemxDevice {
  /// Writes 4 MiB of known contents and compares what is read back.
  fileprivate func copyPattern() async throws {
    try await guest.run(
      """
      dd if=/run/pattern of=/dev/memx0 bs=64k conv=fsync 2> /dev/null
      blockdev --flushbufs /dev/memx0
      dd if=/dev/memx0 bs=64k count=64 2> /dev/null | cmp - /run/pattern
      """)
  }
}
