// SPDX-License-Identifier: Apache-2.0

extension Scenario {
  /// What may end the module's connection while it swaps: nothing may be lost, and nobody has to help.
  public static let rdmaSwapBadDays = Scenario(
    "rdma/swap-bad-days", "links down for 10 s and a killed server while swapping over RDMA",
    usesRDMA: true
  ) { bed, findings in
    try await RDMAPair.with(bed, memory_mib: 512, clientMemory_mib: 128) { pair in
      // Memory that outlives the server's program.
      try await pair.server.run("mkdir /run/arena && mount -t tmpfs -o size=320M arena /run/arena")
      let start =
        "--link rdma:rxe0 --region swap:128M,layout=linear --region messages:128M --memory 256M"
        + " --ring-frames 256 --arena /run/arena"
      let server = try await GuestServer.start(start, in: pair.server)
      for region in ["swap", "messages"] {
        let device = try await MemxDevice.swapOverRDMA(on: pair.client, region: region)

        findings.progress.note("\(region): the server's interface is down for 10 s")
        try await whileSwapping(device, size_mib: 112) {
          try await pair.server.run("ip link set eth0 down; sleep 10; ip link set eth0 up")
        }
        findings.progress.note("\(region): the client's cable is out for 10 s")
        try await whileSwapping(device, size_mib: 112) {
          try pair.client.setCarrier(false)
          try await Task.sleep(for: .seconds(10))
          try pair.client.setCarrier(true)
        }
        let reconnects = try await device.counter("reconnects")
        await findings.set("\(region)_reconnects", .count(reconnects))
        await findings.expect(reconnects >= 2, "\(region): the module did not reconnect")

        findings.progress.note("\(region): the server is killed and started again")
        try await whileSwapping(device, size_mib: 112) {
          try await server.kill()
          _ = try await GuestServer.start(start, in: pair.server)
        }
        for name in ["errors", "lost_pages"] {
          let count = try await device.counter(name)
          await findings.expect(count == 0, "\(region): \(name) is \(count)")
        }
        let state = try await device.attribute("state")
        await findings.expect(state == "live", "\(region): the state is ‘\(state)’, not live")
        try await device.remove()
      }
      try await server.stop()
      try await pair.expectNothingLeft(findings)
    }
  }
}
