// SPDX-License-Identifier: Apache-2.0

extension Scenario {
  /// Post-copy without Xen: a guest's pages go to memxd by copying, and come back while it works on them.
  public static let pullBack = Scenario(
    "postcopy/pull-back",
    "pages copied to memxd come back by push and demand fetch; link down, server killed on the way"
  ) { bed, findings in
    var options = Server.Options()
    options.regions = ["swap:256M"]
    options.memory = "256M"
    options.arena = try bed.namespace.memoryDirectory()
    let first = try await bed.server(options)
    let restart = options
    try await bed.withGuest(Machine(memory_mib: 384)) { guest in
      try await guest.linkUp()

      let whole = try await PseudoDevice.swap(on: guest)
      let pulled = try await whole.pulledBack(bed, findings, "begin") {}
      await findings.check(pulled)
      let dropped = try await whole.pulledBack(bed, findings, "begin no-such-strategy 2M") {
        bed.progress.note("link down for 30 s in the middle")
        try await guest.pullCable(for: .seconds(30))
      }
      await findings.expect(dropped.reconnects > 0, "the module did not attach again")
      let said = try await guest.kernelLog()
      await findings.expect(
        said.contains("knows no strategy no-such-strategy"),
        "the kernel does not say that there is no such strategy")
      let log = try first.logText()
      await findings.expect(
        log.contains("post-copy has ended") && log.contains("complete=true"),
        "memxd does not say that the post-copy is complete:\n\(log.suffix(500))")
      try await whole.device.remove()

      // Fragments this time, and slow enough to be hit in the middle.
      let pieces = try await PseudoDevice.swap(on: guest, words: "mtu=1500")
      let again = try await pieces.pulledBack(bed, findings, "begin streams+lru 2M") {
        bed.progress.note("server killed in the middle, restarted with its arena")
        await first.kill()
        return try await bed.server(restart)
      }
      await findings.expect(again.reconnects > 0, "the module did not attach to the new server")
      let stored = try await again.event.status().stored_bytes
      await findings.expect(stored == 0, "\(stored) bytes are left at the server")
      try await pieces.device.remove()
      try await again.event.stop()
    }
  }

  /// Post-copy from a server that loses its pages: I/O errors for those, no wrong data, no hang.
  public static let pullBackLost = Scenario(
    "postcopy/lost-memory", "a server restarted without its pages in the middle of a post-copy"
  ) { bed, findings in
    var options = Server.Options()
    options.regions = ["swap:256M"]
    options.memory = "256M"
    let first = try await bed.server(options)
    let restart = options
    try await bed.withGuest(Machine(memory_mib: 384)) { guest in
      try await guest.linkUp()
      let pseudo = try await PseudoDevice.swap(on: guest)
      async let workload = pseudo.workload()
      let missing = try await pseudo.pagedOut()
      try await pseudo.begin("begin streams+lru 2M")
      try await pseudo.device.counted("pushed_pages", 500)
      await first.kill()
      let second = try await bed.server(restart)
      let outcome = try await workload
      await findings.expect(
        !outcome.succeeded, "the workload came out right although its pages were lost")
      await findings.expect(
        !Workload.foundWrongData(outcome), "wrong data instead of errors: \(outcome.text)")
      let phase = try await pseudo.device.attribute("postcopy")
      // What the workload leaves behind may be freed at once, and then nothing is missing.
      await findings.expect(
        phase == "failed" || phase == "idle", "the post-copy is ‘\(phase)’, not failed")
      let lost = try await pseudo.device.counter("lost_pages")
      await findings.set("missing_pages", .count(missing))
      await findings.set("lost_pages", .count(lost))
      await findings.expect(lost > 0, "no page was counted as lost")
      let log = try await guest.kernelLog()
      await findings.expect(
        log.contains("post-copy failed: the server has lost its pages"),
        "the kernel does not say that the post-copy has failed")
      try await guest.run("swapoff /dev/memx0", timeout: .seconds(120))
      try await guest.run("memxctl detach memx0 && rmmod memx")
      try await second.stop()
    }
  }
}

/// A /dev/memx0 for pseudo-paging that copies its pages to memxd.
struct PseudoDevice: Sendable {
  /// How a post-copy went.
  struct Pulled<Event: Sendable>: Sendable {
    let pushed: Int
    let fetched: Int
    let minorFaults: Int
    let reconnects: Int
    /// What happened in the middle.
    let event: Event
  }

  private static let size_mib = 64
  private static let group = Guest.Group.work.directory

  let device: MemxDevice
  private var guest: Guest { device.guest }

  /// Loads the modules, attaches the region `swap` for pseudo-paging, and swaps to it.
  ///
  /// - Parameters:
  ///   - modules: to load, in this order.
  ///   - link: as the attach line has it.
  ///   - words: further words of the attach line.
  static func swap(
    on guest: Guest, modules: [String] = ["memx"], link: String = "eth0", words: String = ""
  ) async throws -> PseudoDevice {
    try await guest.run(
      """
      for module in \(modules.joined(separator: " ")); do modprobe $module || exit 1; done
      echo mode=pseudo region=swap link=\(link) timeout_s=120 \(words) > /sys/class/memx/attach
      mkswap /dev/memx0 > /dev/null && swapon /dev/memx0
      """)
    return PseudoDevice(device: MemxDevice(guest: guest, modules: modules.reversed()))
  }

  /// Sorts in memory, and looks whether the result is right.
  func workload() async throws -> Guest.Outcome {
    try await guest.outcome(
      Workload.bench("quicksort", size_mib: Self.size_mib, processes: 2), in: .work,
      timeout: .seconds(400))
  }

  /// Freezes the workload once it has memory, and has all of that paged out.
  ///
  /// - Returns: pages that only the server has now.
  func pagedOut() async throws -> Int {
    try await guest.until(
      "[ $(cat \(Self.group)/memory.current) -gt \(Self.size_mib << 20) ]",
      timeout: .seconds(120))
    // It says how much it could not reclaim; what it could is counted below.
    try await guest.run(
      """
      echo 1 > \(Self.group)/cgroup.freeze
      for i in 1 2 3; do echo \(Self.size_mib)M > \(Self.group)/memory.reclaim; done 2> /dev/null
      [ $(cat \(MemxDevice.sysfs)/stats/missing_pages) -gt \(Self.size_mib * 128) ]
      """, timeout: .seconds(120))
    return try await device.counter("missing_pages")
  }

  /// Lets the post-copy begin, and the workload go on.
  func begin(_ line: String) async throws {
    try await guest.run(
      """
      echo \(line) > \(MemxDevice.sysfs)/postcopy
      echo 0 > \(Self.group)/cgroup.freeze
      """)
  }

  /// Pages a workload out and lets it pull its pages back while it works: each page comes once, and the
  /// result is right.
  ///
  /// - Parameter event: happens when some pages have been pushed.
  func pulledBack<Event: Sendable>(
    _ bed: Bed, _ findings: Findings, _ line: String,
    _ event: @escaping @Sendable () async throws -> Event
  ) async throws -> Pulled<Event> {
    bed.progress.note("quicksort paged out, then ‘\(line)’")
    let before = try await counters()
    async let workload = workload()
    let missing = try await pagedOut()
    try await begin(line)
    try await device.counted("pushed_pages", before.pushed + 500)
    let happened = try await event()
    try await guest.until(
      "[ $(cat \(MemxDevice.sysfs)/postcopy) = complete ]", timeout: .seconds(300))
    let after = try await counters()
    let pushed = after.pushed - before.pushed
    let fetched = after.fetched - before.fetched
    let outdated = after.outdated - before.outdated
    await findings.expect(
      pushed + fetched + outdated == missing,
      "\(missing) pages were away; \(pushed) were pushed, \(fetched) fetched, \(outdated) outdated")
    _ = try Workload.measured(try await workload)
    for name in ["errors", "lost_pages"] {
      let count = try await device.counter(name)
      await findings.expect(count == 0, "\(name) is \(count)")
    }
    return Pulled(
      pushed: pushed, fetched: fetched,
      minorFaults: try await device.counter("minor_faults"),
      reconnects: try await device.counter("reconnects"), event: happened)
  }

  private func counters() async throws -> (pushed: Int, fetched: Int, outdated: Int) {
    (
      try await device.counter("pushed_pages"), try await device.counter("fetched_pages"),
      try await device.counter("outdated_pages")
    )
  }
}

extension Findings {
  /// Takes the figures of a post-copy that nothing has disturbed.
  func check<Event>(_ pulled: PseudoDevice.Pulled<Event>) {
    set("pushed_pages", .count(pulled.pushed))
    set("fetched_pages", .count(pulled.fetched))
    set("minor_faults", .count(pulled.minorFaults))
    expect(pulled.pushed > pulled.fetched, "more pages were fetched than pushed: \(pulled)")
  }
}
