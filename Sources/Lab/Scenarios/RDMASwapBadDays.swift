// SPDX-License-Identifier: Apache-2.0

extension Scenario {
  /// What may end the module's connection: nothing may be lost, and nobody has to help.
  public static let rdmaSwapBadDays = Scenario(
    "rdma/swap-bad-days",
    "cables out, an interface down, a killed server, a forced detach: the module over RDMA",
    usesRDMA: true
  ) { bed, findings in
    try await RDMAPair.withSwappingClient(bed, memory_mib: 384, clientMemory_mib: 128) { pair in
      // Memory that outlives the server's program.
      try await pair.server.run("mkdir /run/arena && mount -t tmpfs -o size=192M arena /run/arena")
      let start =
        "--link rdma:rxe0 --region swap:128M,layout=linear --region linear:16M,layout=linear"
        + " --region messages:16M --memory 160M --ring-frames 256 --arena /run/arena"
      let server = try await GuestServer.start(start, in: pair.server)

      let swap = try await MemxDevice.swapOverRDMA(on: pair.client)
      // The kernel keeps some for itself, since its connection manager may wait for it (docs/RDMA.md).
      let most_kib = try await pair.client.available_kib() - (12 << 10)
      try await pair.client.run("echo \(most_kib)K > \(Guest.Group.work.directory)/memory.max")
      // Not its interface set down: that can leave the server's soft-RoCE deaf (docs/RDMA.md).
      findings.progress.note("swapping: the server's cable is out for 10 s")
      try await whileSwapping(swap, size_mib: 80) {
        try await pair.server.pullCable(for: .seconds(10))
        try await swap.recovered(1)
        findings.progress.note("swapping: the client's cable is out for 10 s")
        try await pair.client.pullCable(for: .seconds(10))
        try await swap.recovered(2)
      }
      try await swap.nothingLost(findings)
      try await swap.remove()

      // Not swapping: who sets the client's own interface up again needs memory for that.
      for (region, parameters) in [("linear", "register_always=1"), ("messages", "")] {
        let block = try await MemxDevice.overRDMA(
          on: pair.client, region: region, words: "", parameters: parameters)
        try await block.whileCopying {
          findings.progress.note("copying to \(region): the client's interface is down for 10 s")
          try await pair.client.run("ip link set eth0 down; sleep 10; ip link set eth0 up")
          try await block.recovered(1)
          findings.progress.note("copying to \(region): the server is killed and started again")
          try await server.kill()
          _ = try await GuestServer.start(start, in: pair.server)
          try await block.recovered(2)
        }
        try await block.nothingLost(findings)
        try await pair.client.run("memxctl detach memx0 && rmmod memx_rdma memx")
      }

      let block = try await MemxDevice.overRDMA(on: pair.client, region: "messages", words: "")
      findings.progress.note("the server is gone for longer than the timeout, and comes back")
      try await pair.client.run("echo 5 > \(MemxDevice.sysfs)/timeout_s")
      try await server.kill()
      try await block.expectTimeout(findings)
      _ = try await GuestServer.start(start, in: pair.server)
      try await pair.client.until(MemxDevice.read, timeout: .seconds(60))

      findings.progress.note("detached by force while copying, and unloaded")
      try await block.removeWhileWritten()
      try await server.stop()
      try await pair.expectNothingLeft(findings)
    }
  }
}

extension MemxDevice {
  /// Waits until it has opened a session for the `count`th time again.
  fileprivate func recovered(_ count: Int) async throws {
    try await counted("reconnects", count, timeout: .seconds(40))
  }

  fileprivate func nothingLost(_ findings: Findings) async throws {
    for name in ["errors", "lost_pages"] {
      let count = try await counter(name)
      await findings.expect(count == 0, "\(name) is \(count)")
    }
    let state = try await attribute("state")
    await findings.expect(state == "live", "the state is ‘\(state)’ at the end, not live")
  }

  /// Writes the device and compares what is read, over and over, until `body` is done.
  ///
  /// - Throws: ``LabError`` also when something else was read.
  fileprivate func whileCopying(_ body: @escaping @Sendable () async throws -> Void) async throws {
    try await guest.run(
      "rm -f /run/stop; dd if=/dev/urandom of=/run/pattern bs=64k count=64 2> /dev/null")
    async let copying = guest.outcome(
      """
      until [ -e /run/stop ]; do
        dd if=/run/pattern of=/dev/memx0 bs=64k conv=fsync 2> /dev/null || exit 1
        blockdev --flushbufs /dev/memx0
        dd if=/dev/memx0 bs=64k count=64 2> /dev/null | cmp - /run/pattern || exit 2
      done
      """, timeout: .seconds(200))
    try await written(1000)
    try await body()
    try await guest.run("touch /run/stop")
    let outcome = try await copying
    guard outcome.succeeded else {
      throw LabError("what was copied came back otherwise: \(outcome.code), \(outcome.text)")
    }
  }
}
