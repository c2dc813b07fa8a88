// SPDX-License-Identifier: Apache-2.0

extension Scenario {
  /// Refusals, and whatever may end a connection: nothing may be lost, nothing left behind.
  public static let rdmaBadDays = Scenario(
    "rdma/bad-days", "wrong ports and tokens, too many clients, ends of clients, servers and links",
    usesModule: false, usesRDMA: true
  ) { bed, findings in
    try await RDMAPair.with(bed) { pair in
      // Memory that outlives the server's program.
      try await pair.server.run("mkdir /run/arena && mount -t tmpfs -o size=64M arena /run/arena")
      let start =
        "--link rdma:rxe0 --region a:4M --region b:4M,token=sesame --region c:4M,layout=linear"
        + " --memory 12M --ring-frames 64 --max-sessions 2 --arena /run/arena"
      let server = try await GuestServer.start(start, in: pair.server)
      let bench = "--link rdma:\(RDMAPair.address)"

      findings.progress.note("what a client may have wrong")
      await findings.expect(
        try await pair.refusal("\(bench):4000 --region a").contains("nothing listens on port 4000"),
        "a wrong port is not said to be one")
      await findings.expect(
        try await pair.refusal("\(bench) --region nothing").contains("no region of that name"),
        "an unknown region is not said to be one")
      await findings.expect(
        try await pair.refusal("\(bench) --region b").contains("may not attach"),
        "a wrong token is not refused")

      findings.progress.note("more clients than allowed")
      async let first = pair.pages("\(bench) --region a --duration 600", timeout: .seconds(300))
      async let second = pair.pages(
        "\(bench) --region b --token sesame --duration 600", timeout: .seconds(300))
      try await server.until(sessions: 2)
      try await server.until(sends: 4096)
      let memory_kib = try await server.memory_kib()
      let said = try await pair.crowd(16, "\(bench) --region c")
      let others = said.filter { !$0.contains("as many sessions as it may have") }
      await findings.expect(
        said.count == 16 && others.isEmpty,
        "of 16 clients too many, \(said.count - others.count) were told so; others: \(others)")
      let more_kib = try await server.memory_kib() - memory_kib
      await findings.set("memory_of_16_refused_kib", .count(more_kib))
      await findings.expect(
        more_kib < 1024, "16 clients too many have cost the server \(more_kib) KiB")
      try await pair.client.run("killall -INT memx-bench")
      await findings.check(try await first, "first")
      await findings.check(try await second, "second")

      findings.progress.note("as many clients as allowed, again as soon as they have ended")
      let restarts = try await pair.client.outcome(
        """
        for i in $(seq 10); do
          memx-bench rmap \(bench) --region a --duration 0.1 &
          memx-bench rmap \(bench) --region b --token sesame --duration 0.1 || exit 1
          wait $! || exit 1
        done
        """, in: .work, timeout: .seconds(120))
      await findings.expect(
        restarts.succeeded, "a client that began again at once: \(restarts.text)")

      findings.progress.note("more requests than the server has receives")
      async let crowded = pair.pages("\(bench) --region a --queue-depth 256 --duration 5")
      async let crowding = pair.pages(
        "\(bench) --region b --token sesame --queue-depth 256 --duration 5")
      await findings.check(try await crowded, "crowded")
      await findings.check(try await crowding, "crowding")
      let waits = try await pair.server.run(
        "/programs/bin/rdma statistic show link rxe0/1 | grep -o 'send_rnr_err [0-9]*'")
      await findings.set("receives_missing", .text(waits))

      findings.progress.note("a client that is killed")
      try await pair.client.run(
        "memx-bench rmap \(bench) --region a --duration 60 > /dev/null 2>&1 & sleep 4; kill -9 $!",
        in: .work)
      let again = try await pair.pages("\(bench) --region a --duration 1")
      await findings.check(again, "after_kill")

      for (name, words) in [("messages", "--region a"), ("one_sided", "--region c --one-sided")] {
        findings.progress.note("\(name): the server is killed and started again")
        async let survivor = pair.pages(
          "\(bench) \(words) --queue-depth 8 --duration 20 --timeout 60")
        try await server.until(sends: 4096)
        try await server.kill()
        _ = try await GuestServer.start(start, in: pair.server)
        await findings.check(try await survivor, "\(name)_server_killed")

        findings.progress.note("\(name): the link is down for 10 s")
        async let patient = pair.pages(
          "\(bench) \(words) --queue-depth 8 --duration 20 --timeout 60")
        try await server.until(sends: 4096)
        try await pair.server.pullCable(for: .seconds(10))
        await findings.check(try await patient, "\(name)_link_down")
      }

      try await server.stop()
      try await pair.expectNothingLeft(findings)
    }
  }
}
