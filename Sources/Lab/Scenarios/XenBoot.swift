// SPDX-License-Identifier: Apache-2.0

extension Scenario {
  /// The lab itself on Xen: a host, a guest on it with its network, memx.ko loaded.
  public static let xenBoot = Scenario(
    xen: "xen/boot", "a Xen host, and a guest on it that takes commands and loads memx.ko"
  ) { bed, findings in
    try await bed.withHosts([XenMachine(number: 1)]) { hosts, network in
      let host = hosts[0]
      await findings.set("dom0", .text(try await host.run("uname -r")))
      let free_mib = try await host.free_mib()
      let guest = try await bed.guest(XenGuest.Configuration(memory_mib: 192), on: host)
      let release = try await guest.run("uname -r")
      await findings.expect(
        release == bed.parts.guestKernel.release, "the guest's kernel is \(release)")
      let type = try await guest.run("cat /sys/hypervisor/guest_type")
      await findings.expect(type == "PV", "the guest is ‘\(type)’, not a paravirtual one")
      try await guest.run("modprobe memx && [ -e /sys/class/memx/attach ]")
      try await guest.run("memxctl --help > /dev/null && memx-bench --help > /dev/null")
      // Frames of the page path's size, past dom0's bridge and the namespace's.
      try await guest.run("ping -c 3 -s 8000 \(host.machine.address)")
      try await guest.run("rmmod memx")
      try await guest.powerOff(on: host)
      let after_mib = try await host.free_mib()
      await findings.expect(
        after_mib == free_mib, "\(free_mib - after_mib) MiB of a destroyed guest are missing")
    }
  }
}
