// SPDX-License-Identifier: Apache-2.0
import Glibc

extension Scenario {
  /// A server which loses its pages, one which never answers: I/O errors, no wrong data, no hang.
  public static let lostMemory = Scenario(
    "swap/lost-memory", "a restarted server without its pages; timeouts; forced detach"
  ) { bed, findings in
    var options = Server.Options()
    options.regions = ["swap:512M"]
    options.memory = "512M"
    let first = try await bed.server(options)
    let restart = options
    try await bed.withGuest(Machine(memory_mib: 160), tolerated: ["Out of memory"]) { guest in
      let device = try await MemxDevice.swap(on: guest)

      bed.progress.note("server killed; its pages are gone")
      async let workload = guest.outcome(
        Workload.bench("quicksort", size_mib: 224, processes: 2), in: .work,
        timeout: .seconds(300))
      try await device.written(8000)
      // Of those that end meanwhile there is nothing.
      let steering = try await guest.outcome(
        "cd /proc; for p in $(cat \(Guest.Group.agent.directory)/cgroup.procs); do"
          + " grep -sH VmSwap $p/status; done"
      ).output.split(separator: "\n")
      await findings.expect(
        steering.contains { $0.hasPrefix("1/") }, "the guest's first program is not among them")
      let swapped = steering.filter { !$0.hasSuffix(" 0 kB") }
      await findings.expect(
        swapped.isEmpty, "what the scenario steers with is swapped, and would be lost: \(swapped)")
      await first.kill()
      let second = try await bed.server(restart)
      let outcome = try await workload
      await findings.expect(
        !outcome.succeeded, "the workload came out right although its pages were lost")
      await findings.expect(
        !Workload.foundWrongData(outcome), "wrong data instead of errors: \(outcome.text)")
      let lost = try await device.counter("lost_pages")
      await findings.set("lost_pages", .count(lost))
      await findings.expect(lost > 0, "no page was counted as lost")
      try await device.remove()

      bed.progress.note("no answer within the timeout")
      try await guest.run("modprobe memx && memxctl attach --link eth0 --region swap --timeout 5")
      // A slot that was never written reads as lost in the restarted region: write some first.
      try await guest.run("dd if=/dev/zero of=/dev/memx0 bs=64k count=16 oflag=direct")
      second.suspend()
      try await device.expectTimeout(findings)
      second.resume()
      try await guest.until(MemxDevice.read, timeout: .seconds(60))

      bed.progress.note("detach by force with requests outstanding")
      try await guest.run("echo 3600 > \(MemxDevice.sysfs)/timeout_s")
      second.suspend()
      async let stuck = guest.outcome(
        "dd if=/dev/zero of=/dev/memx0 bs=64k count=64 oflag=direct", timeout: .seconds(120))
      try await guest.until("[ $(cat \(MemxDevice.sysfs)/stats/outstanding) -gt 0 ]")
      let polite = try await guest.outcome("echo 1 > \(MemxDevice.sysfs)/detach")
      await findings.expect(
        !polite.succeeded && polite.output.contains("busy"),
        "detach while open ended with \(polite.code) ‘\(polite.text)’, not busy")
      let unload = try await guest.outcome("rmmod memx")
      await findings.expect(!unload.succeeded, "the module was unloaded while in use")
      try await guest.run("echo force > \(MemxDevice.sysfs)/detach")
      let ended = try await stuck
      await findings.expect(
        !ended.succeeded, "a write outstanding at a forced detach ended without an error")
      try await guest.until("[ ! -e /dev/memx0 ]")
      try await guest.until("rmmod memx", timeout: .seconds(30))
      second.resume()
      try await second.stop()
    }
  }
}
