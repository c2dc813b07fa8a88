// SPDX-License-Identifier: Apache-2.0

extension Scenario {
  /// Next to no free memory for a minute, the network's own allocations failing included.
  public static let pressure = Scenario(
    "swap/pressure", "a minute of swapping with next to no free memory"
  ) { bed, findings in
    var options = Server.Options()
    options.regions = ["swap:512M"]
    options.memory = "512M"
    let server = try await bed.server(options)
    var machine = Machine(memory_mib: 128)
    machine.card = .e1000
    // A frame a page, each in pages of its own: the most that a receive buffer can ask for.
    machine.mtu = 9000
    try await bed.withGuest(
      machine, tolerated: ["page allocation failure", "Out of memory"]
    ) { guest in
      let device = try await MemxDevice.swap(on: guest)
      // Each second the rest of the free memory goes too, for a moment: receive buffers then come from
      // the emergency reserves, and the kernel drops the frames in them unless they are taken at the
      // ingress hook.
      try await guest.run("echo 1024 > /proc/sys/vm/min_free_kbytes && modprobe memx_shortage")
      let outcome = try await guest.outcome(
        Workload.stress(size_mib: 240, seconds: 60, processes: 3), in: .work,
        timeout: .seconds(300))
      try await guest.run("rmmod memx_shortage && echo 4096 > /proc/sys/vm/min_free_kbytes")
      await findings.expect(outcome.succeeded, "stress-ng: \(outcome.text)")
      let pressure = try await guest.run("cat /proc/pressure/memory")
      await findings.set("pressure", .text(pressure))
      for name in ["writes", "reads", "rx_pfmemalloc", "tx_nomem", "retransmits", "timeouts"] {
        await findings.set(name, .count(try await device.counter(name)))
      }
      let errors = try await device.counter("errors")
      await findings.expect(errors == 0, "\(errors) requests failed")
      let reserved = try await device.counter("rx_pfmemalloc")
      await findings.expect(reserved > 0, "no frame came in memory from the emergency reserves")
      try await device.remove()
    }
    try await server.stop()
  }
}
