// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// The kinds of swap that are compared.
public enum SwapSystem: String, CaseIterable, Sendable {
  /// memx.ko on memxd.
  case memx
  /// The network block device on nbdkit's memory plugin, over TCP.
  case nbd
  /// ATA over Ethernet on vblade.
  case aoe
  /// Compressed memory of the guest itself: the local bound.
  case zram

  /// An attached swap device.
  struct Attached: Sendable {
    /// The device in the guest.
    let device: String
    fileprivate let host: Child?
    fileprivate let server: Server?
    fileprivate let guest: Guest

    /// The server behind it, for memx.
    var memxd: Server? { server }

    /// Adds the module's and the server's counters to the findings, for memx.
    func report(to findings: Findings) async throws {
      guard let server else { return }
      let names = ["discarded_pages", "retransmits", "errors", "bad_checksum", "rx_pfmemalloc"]
      for name in names {
        let text = try await guest.run("cat /sys/block/memx0/memx/stats/\(name)")
        await findings.set(name, Int(text).map { .count($0) } ?? .text(text))
      }
      let status = try await server.status()
      await findings.set("server_stored_bytes", .count(status.stored_bytes))
      await findings.set("server_memory_bytes", .count(status.memory_bytes))
    }

    /// Swaps off, detaches and ends the server.
    func detach() async throws {
      try await guest.run("swapoff \(device)", timeout: .seconds(300))
      if device.contains("memx") { try await guest.run("memxctl detach \(device)") }
      if device.contains("nbd") { try await guest.run("/programs/bin/nbd-client -d \(device)") }
      if device.contains("etherd") { try await guest.run("rmmod aoe") }
      if device.contains("zram") { try await guest.run("echo 1 > /sys/block/zram0/reset") }
      await host?.stop()
      try await server?.stop()
    }
  }

  /// Starts the server and swaps to it in the guest.
  ///
  /// - Throws: ``LabError`` when a part does not start.
  func attach(to guest: Guest, on bed: Bed, size_mib: Int) async throws -> Attached {
    switch self {
    case .memx:
      var options = Server.Options()
      options.regions = ["swap:\(size_mib)M"]
      options.memory = "\(size_mib)M"
      let server = try await bed.server(options)
      try await guest.linkUp()
      try await guest.run(
        "modprobe memx && memxctl attach --link eth0 --region swap --swap --discard")
      return Attached(device: "/dev/memx0", host: nil, server: server, guest: guest)
    case .nbd:
      try await bed.namespace.ip("addr", "replace", "10.77.0.1/24", "dev", "tap0")
      let nbdkit = try await Child.start(
        "nbdkit",
        bed.namespace.command([
          "nbdkit", "-f", "-i", "10.77.0.1", "-p", "10809", "memory", "\(size_mib)M",
        ]), log: bed.directory.appending("nbdkit.log"))
      try await guest.linkUp()
      try await guest.run(
        """
        /programs/bin/ip addr replace 10.77.0.2/24 dev eth0
        modprobe nbd nbds_max=1
        until /programs/bin/nbd-client -b 4096 -N '' 10.77.0.1 10809 /dev/nbd0; do usleep 100000; done
        mkswap /dev/nbd0 > /dev/null && swapon -d /dev/nbd0
        """)
      return Attached(device: "/dev/nbd0", host: nbdkit, server: nil, guest: guest)
    case .aoe:
      let store = try bed.namespace.memoryDirectory().appending("aoe")
      try await Command.run(["truncate", "-s", "\(size_mib)M", store.string])
      let vblade = try await Child.start(
        "vblade", bed.namespace.command(["vblade", "0", "0", "tap0", store.string]),
        log: bed.directory.appending("vblade.log"))
      try await guest.linkUp()
      try await guest.run(
        """
        modprobe aoe aoe_iflist=eth0
        until [ -b /dev/etherd/e0.0 ]; do echo > /dev/etherd/discover; usleep 100000; done
        mkswap /dev/etherd/e0.0 > /dev/null && swapon /dev/etherd/e0.0
        """)
      return Attached(device: "/dev/etherd/e0.0", host: vblade, server: nil, guest: guest)
    case .zram:
      try await guest.run(
        """
        modprobe zram num_devices=1
        # Most room for the least memory, and that is what is short here.
        if grep -q zstd /sys/block/zram0/comp_algorithm; then
          echo zstd > /sys/block/zram0/comp_algorithm
        fi
        echo \(size_mib)M > /sys/block/zram0/disksize
        mkswap /dev/zram0 > /dev/null && swapon -d /dev/zram0
        """)
      return Attached(device: "/dev/zram0", host: nil, server: nil, guest: guest)
    }
  }
}
