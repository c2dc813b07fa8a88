// SPDX-License-Identifier: Apache-2.0

extension Scenario {
  /// Xen's own stop-and-copy, without memx: shows what of a failure is the lab's.
  public static let xenStopAndCopy = Scenario(
    xen: "xen/stop-and-copy",
    "a guest at work moves between two Xen hosts by xl save and xl restore"
  ) { bed, findings in
    try await bed.withHosts([XenMachine(number: 1), XenMachine(number: 2)]) { hosts, _ in
      let free_mib = try await hosts[0].free_mib()
      let guest = try await bed.guest(XenGuest.Configuration(), on: hosts[0])
      let programs = try await MovedPrograms.start(on: guest, of: bed)
      bed.progress.note("the guest moves")
      let moved = try await StopAndCopy.move(
        guest.configuration.name, from: hosts[0], to: hosts[1])
      await findings.set("total_ms", .number(moved.total_ms))
      try await programs.finish(findings)
      let left = try await hosts[0].guests()
      await findings.expect(left == [], "at the source there are still domains: \(left)")
      let after_mib = try await hosts[0].free_mib()
      await findings.expect(
        after_mib == free_mib, "the source lacks \(free_mib - after_mib) MiB afterwards")
      try await guest.powerOff(on: hosts[1])
    }
  }
}
