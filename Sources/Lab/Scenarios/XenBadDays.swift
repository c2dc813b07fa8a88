// SPDX-License-Identifier: Apache-2.0

extension Scenario {
  /// What goes wrong while pages follow the guest, and must cost nothing but time.
  public static let xenBadDays = Scenario(
    xen: "xen/bad-days",
    "a guest of two processors on its way: no network, memxd killed, a forged attach; then shut down"
  ) { bed, findings in
    try await bed.withHosts([XenMachine(number: 1), XenMachine(number: 2)]) { hosts, network in
      let (source, target) = (hosts[0], hosts[1])
      for host in hosts {
        try await host.startMemxd()
        try await host.takeGuests()
      }
      let guest = try await bed.guest(XenGuest.Configuration(processors: 2), on: source)
      let processors = try await guest.run("nproc")
      await findings.expect(processors == "2", "the guest has \(processors) processors, not 2")
      try await guest.pseudoPaging(timeout_s: 300)
      let memory_kib = try await guest.memory_kib()
      let programs = try await MovedPrograms.start(on: guest, of: bed)

      async let migration = source.migrate(guest, to: target, "--rate 1M")
      try await guest.missing(.seconds(300)) { $0 > 0 }
      let all = try await guest.missing()

      bed.progress.note("a second migration, and a forged attach")
      let second = try await source.migrate(guest, to: target)
      await findings.expect(
        !second.succeeded && second.output.contains("being migrated"),
        "a second migration ended with \(second.code) ‘\(second.text)’")
      try await forgedAttach(bed, source, findings)

      bed.progress.note("the source is cut off for 30 s")
      try await network.setCable(false, of: source.machine)
      try await Task.sleep(for: .seconds(30))
      try await network.setCable(true, of: source.machine)
      let cut = try await guest.missing()
      try await guest.missing(.seconds(180)) { $0 < cut }

      bed.progress.note("memxd at the source is killed and started again")
      try await source.killMemxd()
      let killed = try await guest.missing()
      try await source.startMemxd()
      try await guest.missing(.seconds(180)) { $0 < killed }
      await findings.expect(killed > 0, "all \(all) pages had come before memxd was killed")

      let report = try PostCopyReport(try await migration)
      await findings.set("pages", .count(report.pages_transferred))
      await findings.set("missing_when_killed", .count(killed))
      try await guest.expectWhole(memory_kib: memory_kib, report, findings)
      try await programs.finish(findings)

      bed.progress.note(
        "a guest that is out of memory pages out, moves, and is shut down while its pages follow")
      _ = try await Sweep.start(on: guest, .read, size_mib: 24, step_us: 0)
      try await guest.useUp(leaving_mib: 6)
      async let ended = target.migrate(guest, to: source, "--rate 1M")
      try await guest.missing(.seconds(300)) { $0 > 0 }
      let log = try await guest.kernelLog()
      await findings.expect(
        !log.contains("Out of memory"), "a program was killed while the guest paged out")
      try await guest.powerOff(on: source)
      let outcome = try await ended
      await findings.expect(
        !outcome.succeeded && outcome.output.contains("ended before"),
        "the migration of a guest that was shut down ended with \(outcome.code) ‘\(outcome.text)’")
    }
  }

  /// The region of a guest on its way must not be open to whoever knows its name.
  private static func forgedAttach(
    _ bed: XenBed, _ source: XenHost, _ findings: Findings
  ) async throws {
    let region = try await source.run(
      """
      serve=/local/domain/0/memx/serve
      xenstore-read $serve/$(xenstore-list $serve | head -n 1)/region
      """)
    let outcome = try await Command.outcome(
      bed.namespace.command([
        try Repository.product("memx-bench").string, "rmap", "--link", XenNetwork.bridge,
        "--server", source.machine.macAddress, "--region", region, "--token", "forged",
      ]))
    await findings.expect(
      !outcome.succeeded && outcome.output.contains("may not attach"),
      "a forged attach ended with \(outcome.code) ‘\(outcome.tail())’")
  }
}

extension XenGuest {
  /// Leaves next to no memory: fills a ramfs, which cannot be paged out.
  fileprivate func useUp(leaving_mib: Int) async throws {
    try await run(
      """
      mkdir -p /fixed
      mount -t ramfs none /fixed
      available=$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
      dd if=/dev/zero of=/fixed/data bs=1M count=$((available - \(leaving_mib)))
      """)
  }
}
