// SPDX-License-Identifier: Apache-2.0

/// Two namespaces joined by a veth pair, each end limited to a rate.
struct Wire: Sendable {
  /// The device in either namespace.
  private static let device = "wire0"
  /// What tbf lets through at once: more than the 64 KiB that TCP hands down in one piece.
  private static let burst = "128kb"
  /// How long a byte may wait in tbf's queue before it is dropped.
  private static let latency = "20ms"

  /// The source's side.
  let source: Namespace
  /// The destination's side.
  let destination: Namespace
  /// The destination's address.
  let address = "10.78.0.2"

  /// Runs `body` with a new wire, MTU 9000, and removes it afterwards.
  ///
  /// - Parameter rate_mb_s: the rate in each direction, in 10⁶ bytes a second; 0 for no limit.
  static func with<R: Sendable>(
    rate_mb_s: Int, _ body: @Sendable (Wire) async throws -> R
  ) async throws -> R {
    try await Namespace.with { source in
      try await Namespace.with { destination in
        try await source.ip(
          "link", "add", device, "mtu", "9000", "type", "veth", "peer", "name", device, "mtu",
          "9000", "netns", destination.name)
        for (namespace, address) in [(source, "10.78.0.1"), (destination, "10.78.0.2")] {
          try await namespace.ip("addr", "add", "\(address)/24", "dev", device)
          try await namespace.ip("link", "set", device, "up")
          guard rate_mb_s > 0 else { continue }
          try await Command.run(
            namespace.command([
              "tc", "qdisc", "add", "dev", device, "root", "tbf", "rate", "\(rate_mb_s * 8)mbit",
              "burst", burst, "latency", latency,
            ]))
        }
        return try await body(Wire(source: source, destination: destination))
      }
    }
  }
}
