// SPDX-License-Identifier: Apache-2.0

/// An attached /dev/memx0 as its guest's sysfs shows it.
struct MemxDevice: Sendable {
  static let sysfs = "/sys/block/memx0/memx"

  let guest: Guest
  /// What was loaded for it, to be unloaded in this order.
  var modules = ["memx"]

  /// Loads the module, brings the network card up, attaches a region and swaps to it.
  static func swap(
    on guest: Guest, link: String = "eth0", region: String = "swap", timeout_s: Int = 120
  ) async throws -> MemxDevice {
    try await guest.linkUp()
    try await guest.run(
      """
      modprobe memx
      memxctl attach --link \(link) --region \(region) --timeout \(timeout_s) --swap --discard
      """)
    return MemxDevice(guest: guest)
  }

  /// The same over RDMA, from the server at ``RDMAPair/address``.
  static func swapOverRDMA(on guest: Guest) async throws -> MemxDevice {
    try await overRDMA(on: guest, region: "swap", words: "--swap --discard")
  }

  /// Loads the modules and attaches a region over RDMA.
  ///
  /// - Parameters:
  ///   - words: further ones for `memxctl attach`.
  ///   - parameters: of memx_rdma.ko.
  static func overRDMA(
    on guest: Guest, region: String, words: String, parameters: String = ""
  ) async throws -> MemxDevice {
    try await guest.run(
      """
      modprobe memx && modprobe memx_rdma \(parameters)
      memxctl attach --link rdma:\(RDMAPair.address) --region \(region) --timeout 120 \(words)
      """)
    return MemxDevice(guest: guest, modules: ["memx_rdma", "memx"])
  }

  /// An attribute, such as `state`.
  func attribute(_ name: String) async throws -> String {
    try await guest.run("cat \(Self.sysfs)/\(name)")
  }

  /// A counter, such as `retransmits`.
  func counter(_ name: String) async throws -> Int {
    let text = try await attribute("stats/\(name)")
    guard let value = Int(text) else {
      throw LabError("the counter \(name) of memx0 is ‘\(text)’, which is no number")
    }
    return value
  }

  /// Waits until `pages` more pages than now have been written.
  func written(_ pages: Int, timeout: Duration = .seconds(120)) async throws {
    let goal = try await counter("writes") + pages
    try await guest.until("[ $(cat \(Self.sysfs)/stats/writes) -ge \(goal) ]", timeout: timeout)
  }

  /// Waits until a counter has come to `goal`.
  func counted(_ name: String, _ goal: Int, timeout: Duration = .seconds(120)) async throws {
    try await guest.until("[ $(cat \(Self.sysfs)/stats/\(name)) -ge \(goal) ]", timeout: timeout)
  }

  /// A read of its first 64 KiB, past the page cache.
  static let read = "dd if=/dev/memx0 of=/dev/null bs=64k count=1 iflag=direct"

  /// A read that nobody answers must end with an I/O error within a minute.
  func expectTimeout(_ findings: Findings) async throws {
    let failed = try await guest.outcome(Self.read, timeout: .seconds(60))
    await findings.expect(
      !failed.succeeded && failed.output.contains("error"),
      "a read without an answer ended with \(failed.code) ‘\(failed.text)’, not an I/O error")
  }

  /// Swaps off, detaches, and unloads the module.
  func remove() async throws {
    try await guest.run("swapoff /dev/memx0", timeout: .seconds(300))
    try await guest.run("memxctl detach memx0 && rmmod \(modules.joined(separator: " "))")
  }

  /// Detaches it by force while a program writes it, and unloads the module.
  func removeWhileWritten() async throws {
    try await guest.run(
      """
      while [ -b /dev/memx0 ] && dd if=/dev/zero of=/dev/memx0 bs=64k count=64 oflag=direct; do
        :
      done > /dev/null 2>&1 &
      """)
    try await written(1000)
    try await guest.run(
      """
      memxctl detach --force memx0 || exit 1
      while pidof dd > /dev/null; do usleep 50000; done
      rmmod \(modules.joined(separator: " "))
      """)
  }
}
