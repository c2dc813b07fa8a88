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
    machine.mtu = 1500
    try await bed.withGuest(
      machine, tolerated: ["page allocation failure", "Out of memory"]
    ) { guest in
      let device = try await MemxDevice.swap(on: guest)
      // So low that receive buffers must come from the emergency reserves: the frames in them are
      // those that the kernel drops unless they are taken at the ingress hook.
      try await guest.run("echo 128 > /proc/sys/vm/min_free_kbytes")
      // A minute of pressure; more, should chance have kept every frame out of the reserves.
      for seconds in [60, 30, 30, 30, 30] {
        let outcome = try await guest.outcome(
          Workload.stress(size_mib: 240, seconds: seconds, processes: 3), in: .work,
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
