// SPDX-License-Identifier: Apache-2.0

/// The segment that Xen hosts, their guests and the namespace share: a bridge in the namespace with a
/// tap for each host, and a bridge in each dom0.
struct XenNetwork: Sendable {
  let namespace: Namespace
  /// The bridge in the namespace.
  static let bridge = "br0"
  private static let prefix = "10.77.0."

  /// The address of a host's dom0.
  static func address(host: Int) -> String { "\(prefix)\(host)" }
  /// The address of a guest, whichever host it is on.
  static func address(guest: Int) -> String { "\(prefix)\(100 + guest)" }

  /// Makes the bridge and the taps of hosts.
  static func make(in namespace: Namespace, hosts: [XenMachine]) async throws -> XenNetwork {
    try await namespace.ip("link", "add", bridge, "type", "bridge")
    for host in hosts {
      try await namespace.addTap(host.tap, mtu: 9000)
      try await namespace.ip("link", "set", host.tap, "master", bridge)
    }
    try await namespace.ip("link", "set", bridge, "mtu", "9000", "up")
    try await namespace.ip("address", "add", "\(prefix)254/24", "dev", bridge)
    return XenNetwork(namespace: namespace)
  }

  /// Cuts or mends the cable of a host.
  func setCable(_ on: Bool, of host: XenMachine) async throws {
    try await namespace.ip("link", "set", host.tap, on ? "up" : "down")
  }

  /// Bounds what goes to a host.
  ///
  /// - Parameter rate_mb_s: in 10⁶ bytes a second.
  func bound(_ host: XenMachine, rate_mb_s: Int) async throws {
    try await Command.run(
      namespace.command([
        "tc", "qdisc", "replace", "dev", host.tap, "root", "tbf", "rate", "\(rate_mb_s * 8)mbit",
        "burst", "128kb", "latency", "100ms",
      ]))
  }
}
