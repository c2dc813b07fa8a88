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
      // So low that receive buffers must come from the emergency reserves: the frames in them are
      // those that the kernel drops unless they are taken at the ingress hook.
      try await guest.run("echo 128 > /proc/sys/vm/min_free_kbytes")
      // A minute of pressure; more, should chance have kept every frame out of the reserves.
      for (processes, seconds) in [
        (3, 60), (6, 30), (3, 30), (6, 30), (3, 60), (2, 60), (6, 60), (3, 60),
      ] {
        let outcome = try await guest.outcome(
          Workload.stress(size_mib: 240, seconds: seconds, processes: processes), in: .work,
          timeout: .seconds(300))
        await findings.expect(outcome.succeeded, "stress-ng: \(outcome.text)")
        if try await device.counter("rx_pfmemalloc") > 0 { break }
      }
      let pressure = try await guest.run("cat /proc/pressure/memory")
      await findings.set("pressure", .text(pressure))
      for name in ["writes", "reads", "rx_pfmemalloc", "tx_nomem", "retransmits", "timeouts"] {
        await findings.set(name, .count(try await device.counter(name)))
      }
      let errors = try await device.counter("errors")
      await findings.expect(errors == 0, "\(errors) requests failed")
      let reserved = try await device.counter("rx_pfmemalloc")
      await findings.expect(reserved > 0, "no frame came in memory from the emergency reserves")
      try await guest.run("echo 4096 > /proc/sys/vm/min_free_kbytes")
      try await device.remove()
    }
    try await server.stop()
  }
}
