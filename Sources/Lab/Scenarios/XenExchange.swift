// SPDX-License-Identifier: Apache-2.0

extension Scenario {
  /// The exchange of frames by itself, by the module's own test (`kmod/selftest.c`).
  public static let xenExchange = Scenario(
    xen: "xen/exchange",
    "the module's self-test of exchanging frames: two processors and one, at ease and short of memory"
  ) { bed, findings in
    try await bed.withHosts([XenMachine(number: 1)]) { hosts, _ in
      let guest = try await bed.guest(
        XenGuest.Configuration(memory_mib: 192, processors: 2), on: hosts[0])
      for processors in [2, 1] {
        if processors == 1 { try await guest.run("echo 0 > /sys/devices/system/cpu/cpu1/online") }
        for isShort in [false, true] {
          let name = "\(processors)_cpu\(isShort ? "_short" : "")"
          bed.progress.note("self-test, \(processors) CPU\(isShort ? ", short of memory" : "")")
          if isShort { try await guest.occupyMemory(leaving_kib: 24 << 10) }
          let said = try await guest.run(Self.selfTest, timeout: .seconds(120))
          if isShort { try await guest.freeMemory() }
          await findings.expect(
            said.hasPrefix("passed: \(processors) CPUs"), "the self-test said ‘\(said)’")
          let (hypercalls, pages) = try exchanged(said)
          await findings.expect(
            pages >= 9000 * processors && hypercalls * 10 < pages,
            "\(hypercalls) hypercalls have exchanged \(pages) pages")
          await findings.set("hypercalls_\(name)", .count(hypercalls))
          await findings.set("exchanged_pages_\(name)", .count(pages))
        }
      }
      try await guest.powerOff(on: hosts[0])
    }
  }

  /// Loads the module with its test, which the kernel refuses when that fails; says what the test said.
  private static let selfTest = """
    modprobe memx selftest=1 || { dmesg | tail -n 5; exit 1; }
    rmmod memx
    dmesg | sed -n 's/.*memx: self-test //p' | tail -n 1
    """

  /// How often it called the hypervisor to exchange how many pages, from what the self-test said.
  private static func exchanged(_ said: String) throws -> (hypercalls: Int, pages: Int) {
    let words = said.split(separator: " ")
    let counts = words.drop { $0 != "exchange" }.dropFirst().first?.split(separator: "/")
    guard let counts, counts.count == 2, let hypercalls = Int(counts[0]), let pages = Int(counts[1])
    else { throw LabError("the self-test does not say what it has exchanged: ‘\(said)’") }
    return (hypercalls, pages)
  }
}

extension XenGuest {
  /// Fills memory until programs could have no more than so much, and reads a disk all the time, so that the kernel
  /// looks for memory all the time.
  fileprivate func occupyMemory(leaving_kib: Int) async throws {
    let surplus_mib = (try await available_kib() - leaving_kib) >> 10
    try await run(
      """
      dd if=/dev/zero of=/run/filler bs=1M count=\(max(surplus_mib, 0)) 2> /dev/null
      (while [ -e /run/filler ]; do cat /programs/bin/* > /dev/null; done) > /dev/null 2>&1 &
      """)
  }

  fileprivate func freeMemory() async throws { try await run("rm /run/filler") }
}
