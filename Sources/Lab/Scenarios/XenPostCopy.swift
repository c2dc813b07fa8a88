// SPDX-License-Identifier: Apache-2.0

extension Scenario {
  /// The mission: a guest at work moves to another host by post-copy, and back.
  public static let xenPostCopy = Scenario(
    xen: "xen/post-copy",
    "a guest at work moves between two Xen hosts by post-copy, and back; verified"
  ) { bed, findings in
    try await bed.withHosts([XenMachine(number: 1), XenMachine(number: 2)]) { hosts, _ in
      let free_mib = try await hosts[0].free_mib()
      for host in hosts {
        try await host.startMemxd()
        try await host.takeGuests()
      }
      let guest = try await bed.guest(XenGuest.Configuration(), on: hosts[0])
      try await guest.pseudoPaging()
      let memory_kib = try await guest.memory_kib()
      let programs = try await MovedPrograms.start(on: guest, of: bed)

      bed.progress.note("the guest moves")
      let there = try await bed.migrate(guest, from: hosts[0], to: hosts[1])
      for (name, value) in there.values { await findings.set(name, .count(value)) }
      try await guest.expectWhole(memory_kib: memory_kib, there, findings)
      let checked = try await programs.check()
      await findings.expect(checked == "verified", "memory of known content: \(checked)")
      let left = try await hosts[0].guests()
      await findings.expect(left == [], "at the source there are still domains: \(left)")
      let after_mib = try await hosts[0].free_mib()
      await findings.expect(
        after_mib == free_mib, "the source lacks \(free_mib - after_mib) MiB afterwards")

      bed.progress.note("the guest moves back")
      let back = try await bed.migrate(guest, from: hosts[1], to: hosts[0])
      await findings.set("back_downtime_ms", .count(back.downtime_ms))
      await findings.set("back_total_ms", .count(back.total_ms))
      try await guest.expectWhole(memory_kib: memory_kib, back, findings)
      try await programs.finish(findings)
      try await guest.powerOff(on: hosts[0])
    }
  }
}

extension XenBed {
  /// Moves a guest, and keeps what all sides have said.
  func migrate(
    _ guest: XenGuest, from source: XenHost, to target: XenHost, _ words: String = ""
  ) async throws -> PostCopyReport {
    let outcome: Result<Guest.Outcome, any Error>
    do { outcome = .success(try await source.migrate(guest, to: target, words)) } catch {
      outcome = .failure(error)
    }
    for host in [source, target] {
      try Files.write(
        try await host.memxLogs(),
        to: directory.appending(host.machine.name).appending("memx.log"))
    }
    return try PostCopyReport(try outcome.get())
  }
}

extension XenGuest {
  /// Loads memx.ko, and has the guest swap to a pseudo-paging device.
  func pseudoPaging() async throws {
    try await run("modprobe memx && memxctl attach --pseudo --link eth0 --swap")
  }

  /// The memory that the guest's kernel has for all, in KiB.
  func memory_kib() async throws -> Int {
    Int(try await run("awk '/^MemTotal/ { print $2 }' /proc/meminfo")) ?? 0
  }

  /// What must hold of a guest whose last page has come.
  func expectWhole(
    memory_kib: Int, _ report: PostCopyReport, _ findings: Findings
  ) async throws {
    await findings.expect(report.slots_used > 0, "no page followed the guest")
    await findings.expect(
      report.pages_transferred <= report.slots_used,
      "\(report.pages_transferred) pages were transferred of \(report.slots_used) in slots")
    let device = "/sys/block/memx0/memx"
    try await until("[ $(cat \(device)/xen/released_pages) = 0 ]", timeout: .seconds(60))
    let after_kib = try await self.memory_kib()
    await findings.expect(
      after_kib == memory_kib, "the guest has \(after_kib) KiB of memory, not \(memory_kib)")
    for name in ["errors", "lost_pages", "bad_checksum", "missing_pages", "repeated_pushes"] {
      let count = try await run("cat \(device)/stats/\(name)")
      await findings.expect(count == "0", "\(name) is \(count)")
    }
  }
}
