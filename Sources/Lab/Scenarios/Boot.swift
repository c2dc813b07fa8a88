// SPDX-License-Identifier: Apache-2.0

extension Scenario {
  /// The lab itself: a guest boots, runs commands side by side, swaps to compressed memory.
  static let boot = Scenario(
    "lab/boot", "a guest boots, takes commands and swaps; no memx in it", usesModule: false
  ) { bed, findings in
    try await bed.withGuest(Machine(memory_mib: 192)) { guest in
      async let slow = guest.outcome("until [ -e /run/go ]; do usleep 10000; done; exit 3")
      try await guest.run("touch /run/go")
      let code = try await slow.code
      await findings.expect(code == 3, "the exit code of a command is \(code), not 3")
      for program in ["tc -V", "sort --version", "stress-ng --version", "memxctl --help"] {
        try await guest.run("/programs/bin/\(program)")
      }
      let swap = try await SwapSystem.zram.attach(to: guest, on: bed, size_mib: 256)
      let free = try await guest.run("free -m; cat /proc/swaps")
      findings.progress.note(free)
      try await guest.run(
        "stress-ng --vm 1 --vm-bytes 200M --vm-keep --verify --timeout 5", in: .work)
      let out = try await Counters.read(guest)
      await findings.expect(out.pages_out > 0, "nothing was swapped out")
      await findings.set("pages_out", .count(out.pages_out))
      try await swap.detach()
    }
  }
}
