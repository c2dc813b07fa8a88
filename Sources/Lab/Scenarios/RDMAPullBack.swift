// SPDX-License-Identifier: Apache-2.0

extension Scenario {
  /// Post-copy over the second transport: pushes and demand fetches of one connection.
  public static let rdmaPullBack = Scenario(
    "rdma/pull-back",
    "pages copied to memxd over RDMA come back by push and demand fetch; the server killed on the way",
    usesRDMA: true
  ) { bed, findings in
    try await RDMAPair.with(bed, memory_mib: 640, clientMemory_mib: 384) { pair in
      // Memory that outlives the server's program.
      try await pair.server.run("mkdir /run/arena && mount -t tmpfs -o size=280M arena /run/arena")
      let start =
        "--link rdma:rxe0 --region swap:256M --memory 256M --ring-frames 256 --arena /run/arena"
      let server = try await GuestServer.start(start, in: pair.server)
      let pseudo = try await PseudoDevice.swap(
        on: pair.client, modules: ["memx", "memx_rdma"], link: "rdma:\(RDMAPair.address)")

      let pulled = try await pseudo.pulledBack(bed, findings, "begin") {}
      await findings.check(pulled)
      // The module takes one page a frame.
      let written = try await server.writtenFrames()
      await findings.expect(
        written >= pulled.pushed, "of \(pulled.pushed) pushes only \(written) were written")

      let again = try await pseudo.pulledBack(bed, findings, "begin streams+lru 2M") {
        bed.progress.note("server killed in the middle, restarted with its arena")
        try await server.kill()
        _ = try await GuestServer.start(start, in: pair.server)
      }
      await findings.expect(again.reconnects > 0, "the module did not attach to the new server")
      try await pseudo.device.remove()
      try await server.stop()
      try await pair.expectNothingLeft(findings)
    }
  }
}
