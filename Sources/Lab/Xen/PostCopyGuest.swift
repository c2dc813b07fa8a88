// SPDX-License-Identifier: Apache-2.0

extension XenGuest {
  /// Its pseudo-paging device in sysfs.
  static let device = "/sys/block/memx0/memx"

  /// Loads memx.ko, and has the guest swap to a pseudo-paging device.
  ///
  /// - Parameters:
  ///   - link: over which its pages follow it; `rdma:` for RDMA.
  ///   - timeout_s: how long a page may be on its way.
  func pseudoPaging(link: String = "eth0", timeout_s: Int = 120) async throws {
    let modules = link == "eth0" ? ["memx"] : ["memx", "memx_rdma"]
    for module in modules { try await run("modprobe \(module)") }
    try await run("memxctl attach --pseudo --link \(link) --swap --timeout \(timeout_s)")
  }

  /// Where its module writes in XenStore, for a shell in dom0.
  var store: String { "/local/domain/$(xl domid \(configuration.name))/data/memx" }

  /// Pages that have not come yet.
  func missing() async throws -> Int {
    let text = try await run("cat \(Self.device)/xen/missing_slots")
    guard let missing = Int(text) else {
      throw LabError("missing_slots is ‘\(text)’, which is no number")
    }
    return missing
  }

  /// Waits until so many pages are missing as `condition` wants.
  func missing(
    _ timeout: Duration, _ condition: @escaping @Sendable (Int) -> Bool
  ) async throws {
    try await within(timeout, "pages to follow the guest") {
      while try await !condition(self.missing()) { try await Task.sleep(for: .milliseconds(200)) }
    }
  }

  /// The memory that the guest's kernel has for all, in KiB.
  func memory_kib() async throws -> Int {
    let text = try await run("awk '/^MemTotal/ { print $2 }' /proc/meminfo")
    guard let memory = Int(text) else { throw LabError("MemTotal is ‘\(text)’, no number") }
    return memory
  }

  /// The guest must have all of its memory.
  func expectMemory(_ memory_kib: Int, _ findings: Findings) async throws {
    try await until("[ $(cat \(Self.device)/xen/released_pages) = 0 ]")
    let after_kib = try await self.memory_kib()
    await findings.expect(
      after_kib == memory_kib, "the guest has \(after_kib) KiB of memory, not \(memory_kib)")
  }

  /// What must hold of a guest whose last page has come.
  func expectWhole(
    memory_kib: Int, _ report: PostCopyReport, _ findings: Findings
  ) async throws {
    await findings.expect(report.slots_used > 0, "no page followed the guest")
    // The guest frees pages meanwhile, which then need not come.
    await findings.expect(
      report.pages_transferred <= report.slots_used,
      "\(report.pages_transferred) pages were transferred of \(report.slots_used) in slots")
    try await expectMemory(memory_kib, findings)
    for name in ["lost_pages", "bad_checksum", "missing_pages"] {
      let count = try await run("cat \(Self.device)/stats/\(name)")
      await findings.expect(count == "0", "\(name) is \(count)")
    }
  }
}
