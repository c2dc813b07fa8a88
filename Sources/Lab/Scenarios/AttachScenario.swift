// SPDX-License-Identifier: Apache-2.0

extension Scenario {
  /// The plain life of a device: wrong values, attach, swap, refuse, detach, unload.
  public static let attach = Scenario(
    "swap/attach", "wrong values are refused; swap is verified; nothing goes while in use"
  ) { bed, findings in
    try await memxdRefusals(bed, findings)
    var options = Server.Options()
    options.regions = ["swap:512M", "locked:16M,token=secret"]
    options.memory = "576M"
    let server = try await bed.server(options)
    try await bed.withGuest(Machine(memory_mib: 160)) { guest in
      let tap = try await bed.namespace.address(of: "tap0")
      try await guest.run("modprobe memx")
      try await sysfsRefusals(guest, server: tap, findings)
      try await controlRefusals(guest, server: tap, findings)

      let device = try await MemxDevice.swap(on: guest)
      let outcome = try await guest.outcome(
        Workload.bench("quicksort", size_mib: 160, processes: 2), in: .work,
        timeout: .seconds(300))
      _ = try Workload.measured(outcome)
      let written = try await device.counter("writes")
      await findings.set("pages_out", .count(written))
      await findings.set("pages_in", .count(try await device.counter("reads")))
      await findings.expect(written > 10_000, "only \(written) pages were swapped out")
      for name in ["errors", "bad_checksum", "lost_pages"] {
        let count = try await device.counter(name)
        await findings.expect(count == 0, "\(name) is \(count) on a good network")
      }
      try await discardsReach(device, findings)
      try await useRefusals(guest, findings)

      try await device.remove()
      await findings.expect(
        try await guest.outcome("[ -e /dev/memx0 ]").code == 1, "/dev/memx0 is still there")
      // All over again: unloading left nothing behind.
      let again = try await MemxDevice.swap(on: guest)
      try await again.remove()
    }
    // The status is a snapshot that is taken now and then.
    try await within(.seconds(10), "memxd to end the session of a detached client") {
      while try await server.statusText().contains("\"session\":{") {
        try await Task.sleep(for: .milliseconds(200))
      }
    }
    try await server.stop()
  }

  /// Freed swap slots must free the server's memory.
  private static func discardsReach(_ device: MemxDevice, _ findings: Findings) async throws {
    let stored = "\(MemxDevice.sysfs)/stats/server_stored_pages"
    try await device.guest.until("[ $(cat \(stored)) -lt 16384 ]", timeout: .seconds(30))
    let discarded = try await device.counter("discarded_pages")
    await findings.set("discarded_pages", .count(discarded))
    await findings.expect(discarded > 0, "no page was discarded")
  }

  /// What the module must refuse, with the error that says why.
  private static func sysfsRefusals(
    _ guest: Guest, server: String, _ findings: Findings
  ) async throws {
    func refuse(_ words: String, _ message: String, named: String? = nil) async throws {
      let outcome = try await guest.outcome("echo '\(words)' > /sys/class/memx/attach")
      await findings.expect(
        !outcome.succeeded && outcome.output.contains(message),
        "attach with ‘\(words)’ ended with \(outcome.code) ‘\(outcome.text)’, not ‘\(message)’")
      guard let named else { return }
      let log = try await guest.run("dmesg | tail -n 5")
      await findings.expect(
        log.contains(named), "after ‘\(words)’ the kernel log does not name ‘\(named)’: \(log)")
    }
    try await refuse("region=swap link=eth0", "Network is down")
    try await guest.linkUp()
    let invalid = "Invalid argument"
    try await refuse("region=swap", invalid, named: "link")
    try await refuse("link=eth0", invalid, named: "region")
    try await refuse("region=swap link=eth0 colour=red", invalid, named: "colour")
    try await refuse("region=swap link=eth0 queue_depth=0", invalid, named: "queue_depth")
    try await refuse("region=swap link=eth0 queue_depth=many", invalid, named: "queue_depth")
    try await refuse("region=swap link=eth0 mtu=100", invalid, named: "mtu")
    try await refuse("region=swap link=eth0 timeout_s=0", invalid, named: "timeout_s")
    try await refuse("region=swap link=eth0 server=12:34", invalid, named: "server")
    try await refuse("region=swap link=eth9", "No such device")
    // A broadcast asks every server, and those that cannot serve it keep quiet: name the server.
    let there = "link=eth0 server=\(server)"
    try await refuse("region=nosuch \(there)", "No such file or directory")
    try await refuse("region=locked \(there) token=wrong", "Permission denied")
    try await refuse("region=swap \(there) size=100G", "File too large")
    let text = try await guest.run("cat /sys/class/memx/attach")
    await findings.expect(
      text.contains("region=") && text.contains("link="),
      "/sys/class/memx/attach does not say how to use it: ‘\(text)’")
  }

  /// What memxctl must refuse, naming what was wrong.
  private static func controlRefusals(
    _ guest: Guest, server: String, _ findings: Findings
  ) async throws {
    for (words, named) in [
      ("attach --link eth0 --region nosuch --server \(server)", "nosuch"),
      ("attach --link eth9 --region swap", "eth9"),
      ("attach --link eth0 --region swap --timeout 0", "timeout"),
      ("detach memx7", "memx7"),
      ("frobnicate", "frobnicate"),
    ] {
      let outcome = try await guest.outcome("memxctl \(words)")
      await findings.expect(
        !outcome.succeeded && outcome.output.contains(named),
        "‘memxctl \(words)’ ended with \(outcome.code) ‘\(outcome.text)’")
    }
  }

  /// What must not go while the device is swap in use.
  private static func useRefusals(_ guest: Guest, _ findings: Findings) async throws {
    for (command, message) in [
      ("echo 1 > \(MemxDevice.sysfs)/detach", "busy"),
      ("rmmod memx", "in use|busy|temporarily unavailable"),
      ("memxctl detach memx0", "swap"),
      ("echo 'region=swap link=eth0' > /sys/class/memx/attach", "File exists|busy"),
      ("echo 0 > \(MemxDevice.sysfs)/timeout_s", "Invalid argument|out of range"),
    ] {
      let outcome = try await guest.outcome(command)
      let named = message.split(separator: "|").contains { outcome.output.contains($0) }
      await findings.expect(
        !outcome.succeeded && named,
        "‘\(command)’ while in use ended with \(outcome.code) ‘\(outcome.text)’")
    }
  }

  /// What memxd must refuse to start with, naming what was wrong.
  private static func memxdRefusals(_ bed: Bed, _ findings: Findings) async throws {
    let memxd = try Repository.product("memxd").string
    for (words, named) in [
      (["--link", "tap0", "--region", "swap:12x", "--memory", "64M"], "12x"),
      (["--link", "nosuch0", "--region", "swap:16M", "--memory", "64M"], "nosuch0"),
      (["--link", "tap0", "--region", "swap", "--memory", "64M"], "swap"),
      (["--link", "tap0", "--region", "swap:16M", "--memory", "lots"], "lots"),
      (["--link", "tap0", "--region", "a:4M", "--region", "a:4M", "--memory", "64M"], "a"),
    ] {
      let outcome = try await Command.outcome(
        bed.namespace.command([memxd] + words), timeout: .seconds(20))
      await findings.expect(
        !outcome.succeeded && outcome.output.contains(named),
        "‘memxd \(words.joined(separator: " "))’ ended with \(outcome.code) ‘\(outcome.output)’")
    }
  }
}
