// SPDX-License-Identifier: Apache-2.0

extension Scenario {
  /// What ends before the guest moves leaves it where it is, whole.
  public static let xenRefusals = Scenario(
    xen: "xen/refusals",
    "a guest without the module, a full target, no memxd, a cancelled migration: it runs on"
  ) { bed, findings in
    try await bed.withHosts([XenMachine(number: 1), XenMachine(number: 2)]) { hosts, _ in
      let (source, target) = (hosts[0], hosts[1])
      let guest = try await bed.guest(XenGuest.Configuration(), on: source)

      /// Tries to move the guest, and wants a refusal that says `words`.
      @Sendable func refused(_ words: String, _ why: String) async throws {
        let outcome = try await source.migrate(guest, to: target)
        await findings.expect(
          !outcome.succeeded && outcome.output.contains(words),
          "\(why): memxctl migrate ended with \(outcome.code) ‘\(outcome.text)’, not ‘\(words)’")
        let there = try await source.guests()
        await findings.expect(there.count == 1, "\(why): the guest is not at the source")
      }

      try await refused("memxctl attach --pseudo", "a guest without the module")
      try await guest.pseudoPaging()
      try await refused("memxd --xen", "no memxd at the source")
      try await source.startMemxd()
      try await refused("nothing at the target answers", "nothing listens at the target")
      try await target.takeGuests()
      let memory_kib = try await guest.memory_kib()
      let programs = try await MovedPrograms.start(on: guest, of: bed)

      bed.progress.note("a target that is full")
      let free_mib = try await target.free_mib()
      let filler = try await target.fill(leaving_mib: 64)
      try await refused("MiB are free", "a full target")
      try await target.run("xl destroy \(filler)")
      try await target.until("[ $(xl info free_memory) -ge \(free_mib) ]")

      bed.progress.note(
        "cancelled while pages go ahead, while the guest pages out, and while it is on its way")
      for (state, condition) in [
        ("preparing", "[ $(said state) = preparing ]"),
        ("paging out", "[ $(said released) -gt 0 ]"), ("frozen", "[ $(said state) = frozen ]"),
      ] {
        let outcome = try await source.cancelledMigration(of: guest, to: target, when: condition)
        await findings.expect(
          !outcome.succeeded
            && outcome.output.contains("cancelled; \(guest.configuration.name) runs on here"),
          "cancelled while \(state): memxctl ended with \(outcome.code) ‘\(outcome.text)’")
        try await source.until(
          "xenstore-read \(guest.store)/state | grep -q idle")
        let checked = try await programs.check()
        await findings.expect(
          checked == "verified", "cancelled while \(state): memory of known content: \(checked)")
        let elsewhere = try await target.guests()
        await findings.expect(
          elsewhere == [], "cancelled while \(state): at the target there are \(elsewhere)")
        try await guest.expectMemory(memory_kib, findings)
      }
      try await programs.finish(findings)
    }
  }
}

extension XenHost {
  /// Gives all memory but some to a guest that does not run.
  ///
  /// - Returns: the domain's name.
  func fill(leaving_mib: Int) async throws -> String {
    var configuration = XenGuest.Configuration(memory_mib: try await free_mib() - leaving_mib)
    configuration.number = 9
    try await run(
      """
      cat > /run/filler.cfg << 'END'
      \(configuration.text)
      END
      xl create -p /run/filler.cfg
      """)
    return configuration.name
  }
}
