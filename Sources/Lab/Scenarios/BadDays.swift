// SPDX-License-Identifier: Apache-2.0

extension Scenario {
  /// A bad network, a pulled cable, a server that dies: nothing may be lost.
  public static let badDays = Scenario(
    "swap/bad-days", "frame loss, link down for 30 s and a killed server while swapping"
  ) { bed, findings in
    var options = Server.Options()
    options.regions = ["swap:512M"]
    options.memory = "512M"
    options.arena = try bed.namespace.memoryDirectory()
    let first = try await bed.server(options)
    let restart = options
    try await bed.withGuest(Machine(memory_mib: 160)) { guest in
      try await guest.linkUp()
      try await guest.run(Netem.prepare)
      let lossy = try await MemxDevice.swap(on: guest, link: Netem.link)
      bed.progress.note("10 % loss, duplicates, reordering while swapping")
      try await guest.run(Netem.impair(loss_percent: 10))
      try await verified(guest, size_mib: 96)
      let retransmits = try await lossy.counter("retransmits")
      await findings.set("retransmits", .count(retransmits))
      await findings.expect(retransmits > 0, "there were no retransmissions at 10 % loss")
      try await lossy.remove()
      try await guest.run(Netem.remove)

      let device = try await MemxDevice.swap(on: guest)
      bed.progress.note("link down for 30 s while swapping")
      try await whileSwapping(device) {
        try await guest.pullCable(for: .seconds(30))
      }

      bed.progress.note("server killed and restarted while swapping")
      let second = try await whileSwapping(device) {
        await first.kill()
        return try await bed.server(restart)
      }
      let reconnects = try await device.counter("reconnects")
      await findings.set("reconnects", .count(reconnects))
      await findings.expect(reconnects > 0, "the module did not reconnect to the new server")
      for name in ["errors", "lost_pages"] {
        let count = try await device.counter(name)
        await findings.expect(count == 0, "\(name) is \(count)")
      }
      let state = try await device.attribute("state")
      await findings.expect(state == "live", "the state is ‘\(state)’ at the end, not live")
      await findings.set("pages_out", .count(try await device.counter("writes")))
      try await device.remove()
      try await second.stop()
    }
  }

  private static func verified(_ guest: Guest, size_mib: Int) async throws {
    let outcome = try await guest.outcome(
      Workload.bench("quicksort", size_mib: size_mib, processes: 2), in: .work,
      timeout: .seconds(400))
    _ = try Workload.measured(outcome)
  }

  /// Runs a verified workload, and `event` once it swaps.
  @discardableResult
  static func whileSwapping<R: Sendable>(
    _ device: MemxDevice, size_mib: Int = 128,
    _ event: @escaping @Sendable () async throws -> R
  ) async throws -> R {
    try await withThrowingTaskGroup(of: R?.self) { group in
      group.addTask {
        try await verified(device.guest, size_mib: size_mib)
        return nil
      }
      group.addTask {
        try await device.written(4000)
        return try await event()
      }
      var result: R?
      for try await value in group { result = value ?? result }
      guard let result else { throw LabError("the workload ended before it swapped") }
      return result
    }
  }
}
