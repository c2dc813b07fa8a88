// SPDX-License-Identifier: Apache-2.0

extension Scenario {
  /// The main job: real programs on twice the memory that the guest has.
  static let remoteSwap = Scenario(
    "demo/remote-swap", "quicksort, sort and stress-ng on twice a guest's memory, verified"
  ) { bed, findings in
    try await remoteSwap(.memx, bed, findings)
  }

  /// The same on nbd: shows what of a failure is the lab's.
  static let remoteSwapNBD = Scenario(
    "lab/remote-swap-nbd", "the programs of demo/remote-swap on nbd instead of memx",
    usesModule: false
  ) { bed, findings in
    try await remoteSwap(.nbd, bed, findings)
  }

  private static func remoteSwap(
    _ system: SwapSystem, _ bed: Bed, _ findings: Findings
  ) async throws {
    let memory_mib = bed.parts.accelerator == .kvm ? 1024 : 192
    let data_mib = 2 * memory_mib
    await findings.set("guest_memory_mib", .count(memory_mib))
    await findings.set("data_mib", .count(data_mib))
    // The text lies in memory twice, and sort keeps 32 bytes a line beside it.
    let text_mib = data_mib / 2
    bed.progress.note("sorting a text of \(text_mib) MiB on the host")
    let wanted = try await Workload.sortedTextChecksum(size_mib: text_mib)
    try await bed.withGuest(Machine(memory_mib: memory_mib)) { guest in
      let swap = try await system.attach(to: guest, on: bed, size_mib: 4 * memory_mib)
      let progress = bed.progress

      progress.note("quicksort of \(data_mib) MiB in 4 processes")
      let sorted = try await guest.outcome(
        Workload.bench("quicksort", size_mib: data_mib, processes: 4), in: .work,
        timeout: .seconds(600))
      let measured = try Workload.measured(sorted)
      await findings.set("quicksort_s", .number(measured.time_s))
      await findings.set("fault_p50_us", .number(measured.fault_p50_us))
      await findings.set("fault_p99_us", .number(measured.fault_p99_us))

      progress.note("sort of a text of \(text_mib) MiB")
      let start = ContinuousClock.now
      let text = try await guest.run(
        Workload.sort(size_mib: text_mib), in: .work, timeout: .seconds(600))
      await findings.set(
        "sort_s", .number(Double((ContinuousClock.now - start).components.seconds)))
      await findings.expect(
        text.hasPrefix(wanted), "sort: the checksum is \(text.prefix(64)), on the host \(wanted)")

      progress.note("stress-ng on \(data_mib) MiB for 30 s")
      let stress = try await guest.outcome(
        Workload.stress(size_mib: data_mib, seconds: 30), in: .work, timeout: .seconds(300))
      await findings.expect(stress.succeeded, "stress-ng: \(stress.text)")

      let counters = try await Counters.read(guest)
      await findings.set("pages_out", .count(counters.pages_out))
      await findings.set("pages_in", .count(counters.pages_in))
      try await swap.report(to: findings)
      progress.note("swapping off")
      try await swap.detach()
    }
  }
}
