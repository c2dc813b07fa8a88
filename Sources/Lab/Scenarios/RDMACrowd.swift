// SPDX-License-Identifier: Apache-2.0

extension Scenario {
  /// Clients by the thousand: each may cost a server a little, none may keep another from its pages.
  public static let rdmaCrowd = Scenario(
    "rdma/crowd", "a thousand connections, 512 speaking at once: their cost, and what is left",
    usesModule: false, usesRDMA: true
  ) { bed, findings in
    let crowd = 1000
    try await RDMAPair.with(bed, memory_mib: 512, clientMemory_mib: 512) { pair in
      // Half as many receives as connections that say something at once, and buffers for all the answers of a second.
      let server = try await GuestServer.start(
        "--link rdma:rxe0 --region a:4M --memory 4M --ring-frames 256 --max-sessions 1024"
          + " --session-timeout-ms 600000", in: pair.server)
      let link = "--link rdma:\(RDMAPair.address)"
      let alone = try await pair.pages("\(link) --region a --queue-depth 8 --duration 2")
      await findings.check(alone, "alone")
      // What the first connections make once and for all is no leak.
      try await pair.hold(16, link, at: server) {}
      let before = try await server.costs()
      await findings.set("program_before_kib", .count(before.program_kib))

      findings.progress.note("\(crowd) connections, and a client with a session")
      let served = try await pair.whileServed("\(link) --region a --queue-depth 1") {
        try await pair.hold(crowd, link, at: server) {
          let held = try await server.costs()
          let program_kib = Double(held.program_kib - before.program_kib) / Double(crowd)
          let system_kib = Double(before.available_kib - held.available_kib) / Double(crowd)
          await findings.set("program_kib_per_connection", .number(program_kib))
          await findings.set("system_kib_per_connection", .number(system_kib))
          await findings.expect(
            program_kib < 16, "a connection costs the server's program \(program_kib) KiB")
          await findings.expect(
            system_kib < 128, "a connection costs the server's machine \(system_kib) KiB")
          // Among a thousand others it still gets pages.
          try await server.until(counts: "reads", try await server.count("reads") + 200)
        }
      }
      for pages in served { await findings.check(pages, "meanwhile") }
      await findings.set("runs_meanwhile", .count(served.count))

      try await server.until(sessions: 0)
      let after = try await server.costs()
      await findings.set("program_left_kib", .count(after.program_kib - before.program_kib))
      await findings.set("system_left_kib", .count(before.available_kib - after.available_kib))
      // What the program keeps it must use again.
      try await pair.hold(crowd / 4, link, at: server) {
        let more_kib = try await server.costs().program_kib - after.program_kib
        await findings.set("program_more_kib", .count(more_kib))
        await findings.expect(more_kib < 512, "\(crowd / 4) connections more cost \(more_kib) KiB")
      }
      try await server.stop()

      // None has as much under way as it may, but together they have all of the server's buffers.
      findings.progress.note("connections that take no answers, and a client")
      let small = try await GuestServer.start(
        "--link rdma:rxe0 --region a:4M --memory 4M --ring-frames 64", in: pair.server)
      let beside = try await pair.whileServed("\(link) --region a --queue-depth 8") {
        try await small.until(counts: "reads", 200)
        _ = try await pair.client.run(
          "memx-bench crowd \(link) --connections 8 --receives 16 --mute", in: .work,
          timeout: .seconds(90))
      }
      for pages in beside { await findings.check(pages, "beside_the_mute") }
      let attaches = try await small.count("attaches")
      await findings.expect(
        attaches == beside.count, "\(beside.count) runs of a client have attached \(attaches) times"
      )
      try await small.stop()
      try await pair.expectNothingLeft(findings)
    }
  }
}

extension RDMAPair {
  /// Opens connections without a session in the client's guest, has each say something when all are open, 512 at a
  /// time, runs `body` when the server has heard them all, and kills whoever holds the connections.
  ///
  /// Returns when the server has no connection of theirs left.
  fileprivate func hold(
    _ connections: Int, _ link: String, at server: GuestServer, _ body: () async throws -> Void
  ) async throws {
    let heard = try await server.count("bad_sessions")
    try await client.run(
      """
      rm -f /run/crowd
      ulimit -n 8192
      memx-bench crowd \(link) --connections \(connections) --together 512 > /run/crowd 2>&1 &
      echo $! > /run/crowd.pid
      until [ -s /run/crowd ]; do kill -0 $! || exit 1; usleep 50000; done
      grep -q '"connections":\(connections),' /run/crowd || { cat /run/crowd; exit 1; }
      """, in: .work, timeout: .seconds(300))
    // Emulated soft-RoCE gives some up when the machine is busy.
    let most = connections * 95 / 100
    try await server.until(counts: "bad_sessions", heard + most)
    let held = Int(try await server.guest.run(Self.connections)) ?? 0
    guard held >= most else {
      throw LabError("of \(connections) connections only \(held) are there still")
    }
    try await body()
    try await client.run("kill $(cat /run/crowd.pid)")
    // The client that is served may have one.
    try await server.guest.until("[ $(\(Self.connections)) -le 1 ]", timeout: .seconds(120))
  }

  /// Runs `memx-bench rmap` over and over until `body` is done.
  ///
  /// - Returns: what each run said.
  fileprivate func whileServed(
    _ arguments: String, _ body: () async throws -> Void
  ) async throws -> [Pages] {
    try await client.run("rm -f /run/stop")
    async let served = client.run(
      """
      until [ -e /run/stop ]; do
        memx-bench rmap \(arguments) --duration 5 --verify --json || exit 1
      done
      """, in: .work, timeout: .seconds(600))
    do {
      try await body()
    } catch {
      // A client that failed says why.
      try await client.run("touch /run/stop")
      _ = try await served
      throw error
    }
    try await client.run("touch /run/stop")
    return try await served.split(separator: "\n").map { try Pages(String($0)) }
  }
}

extension GuestServer {
  /// What its clients cost: memory of its program, that of regions aside, and memory that its machine has left.
  fileprivate func costs() async throws -> (program_kib: Int, available_kib: Int) {
    (try await memory_kib(), try await guest.available_kib())
  }

  /// A counter of its one link's.
  fileprivate func count(_ name: String) async throws -> Int {
    try await status().links[0].counters[name] ?? 0
  }

  /// Waits until a counter of its one link's has come to `goal`.
  fileprivate func until(counts name: String, _ goal: Int) async throws {
    try await until(metric: "memx_link_\(name)_total", "n >= \(goal)")
  }
}
