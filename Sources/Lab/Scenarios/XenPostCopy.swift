// SPDX-License-Identifier: Apache-2.0

extension Scenario {
  /// The mission: a guest at work moves to another host by post-copy.
  static let postCopy = Scenario(
    xen: "demo/post-copy", "a guest at work moves between two Xen hosts by post-copy, verified"
  ) { bed, findings in
    try await postCopy(bed, findings, andBack: false)
  }

  /// There and back: nothing of a migration may be in the way of the next.
  public static let xenPostCopy = Scenario(
    xen: "xen/post-copy",
    "a guest at work moves between two Xen hosts by post-copy, and back, verified"
  ) { bed, findings in
    try await postCopy(bed, findings, andBack: true)
  }

  private static func postCopy(
    _ bed: XenBed, _ findings: Findings, andBack: Bool
  ) async throws {
    try await bed.withHosts([XenMachine(number: 1), XenMachine(number: 2)]) { hosts, _ in
      let (source, target) = (hosts[0], hosts[1])
      for host in hosts {
        try await host.startMemxd()
        try await host.takeGuests()
      }
      let free_mib = try await source.free_mib()
      let guest = try await bed.guest(XenGuest.Configuration(), on: source)
      try await guest.pseudoPaging()
      let memory_kib = try await guest.memory_kib()
      bed.progress.note("quicksort, a heartbeat and a server in the guest: starting")
      let programs = try await MovedPrograms.start(on: guest, of: bed)

      bed.progress.note("the guest moves to \(target.machine.name)")
      let there = try PostCopyReport(try await source.migrate(guest, to: target))
      bed.progress.note(
        "it ran at \(target.machine.name) after \(there.downtime_ms) ms; its last page came after"
          + " \(there.total_ms) ms")
      for (name, value) in there.values { await findings.set(name, .count(value)) }
      try await guest.expectWhole(memory_kib: memory_kib, there, findings)
      let checked = try await programs.check()
      await findings.expect(checked == "verified", "memory of known content: \(checked)")
      let left = try await source.guests()
      await findings.expect(left == [], "at the source there are still domains: \(left)")
      let after_mib = try await source.free_mib()
      await findings.expect(
        after_mib == free_mib, "the source lacks \(free_mib - after_mib) MiB afterwards")

      if andBack {
        bed.progress.note("the guest moves back")
        let back = try PostCopyReport(try await target.migrate(guest, to: source))
        for (name, value) in back.values { await findings.set("back_\(name)", .count(value)) }
        try await guest.expectWhole(memory_kib: memory_kib, back, findings)
      }
      bed.progress.note("everything that was in memory is checked")
      try await programs.finish(findings)
      try await guest.powerOff(on: andBack ? source : target)
    }
  }
}
