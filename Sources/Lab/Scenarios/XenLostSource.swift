// SPDX-License-Identifier: Apache-2.0

extension Scenario {
  /// The source dies while pages follow: what had not come is lost, and everybody is told.
  public static let xenLostSource = Scenario(
    xen: "xen/lost-source", "the source's host dies while pages follow: errors, no wrong data"
  ) { bed, findings in
    try await bed.withHosts([XenMachine(number: 1), XenMachine(number: 2)]) { hosts, _ in
      let (source, target) = (hosts[0], hosts[1])
      for host in hosts {
        try await host.startMemxd()
        try await host.takeGuests()
      }
      let guest = try await bed.guest(XenGuest.Configuration(), on: source)
      try await guest.pseudoPaging(timeout_s: 10)
      let programs = try await MovedPrograms.start(on: guest, of: bed)

      async let migration = source.migrate(guest, to: target, "--rate 1M")
      try await guest.missing(.seconds(300)) { $0 > 0 }
      // No kernel outlives its init: an orphan that it reaps has it touch what it needs, so that this comes.
      try await guest.run("for orphan in 1 2 3; do (true &); done")
      try await source.killMemxd()
      try await guest.until(
        "[ \"$(cat \(XenGuest.device)/xen/migration)\" = failed ]")
      let lost = try await guest.missing()
      await findings.set("lost_pages", .count(lost))
      await findings.expect(lost > 0, "no page was lost")
      let outcome = try await migration
      await findings.expect(
        !outcome.succeeded && outcome.output.contains("lost"),
        "memxctl migrate ended with \(outcome.code) ‘\(outcome.text)’")
      try await programs.expectErrors(findings)
      let log = try await guest.kernelLog()
      await findings.expect(
        log.contains("memx0") && log.contains("lost"), "the guest's log tells of no lost pages")
      try await guest.powerOff(on: target)
    }
  }
}
