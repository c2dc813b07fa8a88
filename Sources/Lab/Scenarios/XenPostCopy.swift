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

  /// The same one way, with an RDMA device in each dom0 and in the guest.
  public static let xenRDMA = Scenario(
    xen: "xen/rdma",
    "a guest at work moves between two Xen hosts, and its pages follow over RDMA, verified"
  ) { bed, findings in
    try await postCopy(bed, findings, andBack: false, overRDMA: true)
  }

  private static func postCopy(
    _ bed: XenBed, _ findings: Findings, andBack: Bool, overRDMA: Bool = false
  ) async throws {
    try await bed.withHosts([XenMachine(number: 1), XenMachine(number: 2)]) { hosts, _ in
      let (source, target) = (hosts[0], hosts[1])
      for host in hosts {
        try await host.startMemxd(rdma: overRDMA)
        try await host.takeGuests()
      }
      let free_mib = try await source.free_mib()
      var configuration = XenGuest.Configuration()
      if overRDMA { configuration.kernelWords.append(XenGuest.Configuration.rdma) }
      let guest = try await bed.guest(configuration, on: source)
      try await guest.pseudoPaging(link: overRDMA ? "rdma:" : "eth0")
      let cluster = try await guest.run("cat /proc/sys/vm/page-cluster")
      await findings.expect(cluster == "0", "vm.page-cluster is \(cluster) after attach, not 0")
      let memory_kib = try await guest.memory_kib()
      bed.progress.note("quicksort, a heartbeat and a server in the guest: starting")
      let programs = try await MovedPrograms.start(on: guest, of: bed)

      if overRDMA { try await source.expectNoWay(for: guest, to: target, findings) }
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

extension XenHost {
  /// A guest that cannot reach its pages over RDMA must not move.
  fileprivate func expectNoWay(
    for guest: XenGuest, to target: XenHost, _ findings: Findings
  ) async throws {
    let address = "/local/domain/0/memx/server/rdma"
    let right = try await run("xenstore-read \(address)")
    // Nobody's.
    try await run("xenstore-write \(address) 10.77.0.99")
    let outcome = try await migrate(guest, to: target)
    await findings.expect(
      !outcome.succeeded && outcome.output.contains("no way over rdma to the server 10.77.0.99"),
      "memxctl migrate ended with \(outcome.code) ‘\(outcome.text)’ without a way to the pages")
    try await run("xenstore-write \(address) \(right)")
  }
}
