// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import SystemPackage

/// Two guests on one segment, each with a soft-RoCE device: a server's and a client's.
struct RDMAPair: Sendable {
  let server: Guest
  let client: Guest

  /// The server's IP address.
  static let address = "10.78.0.1"

  /// Boots both, and ends both in order when `body` has succeeded.
  ///
  /// - Parameters:
  ///   - memory_mib: the server's memory.
  ///   - clientMemory_mib: the client's; the same when nil.
  static func with<R: Sendable>(
    _ bed: Bed, memory_mib: Int = 256, clientMemory_mib: Int? = nil,
    _ body: @escaping @Sendable (RDMAPair) async throws -> R
  ) async throws -> R {
    try await bed.namespace.addTap("tap1", mtu: 9000)
    try await bed.namespace.addBridge("br0", joining: ["tap0", "tap1"], mtu: 9000)
    var machine = Machine(memory_mib: memory_mib, processors: 1)
    machine.name = "server"
    var other = machine
    other.name = "client"
    if let clientMemory_mib {
      other.memory_mib = clientMemory_mib
      other.processors = 2
    }
    other.address = "52:54:00:6d:78:02"
    other.tap = "tap1"
    return try await bed.withGuest(machine) { [other] server in
      try await bed.withGuest(other) { client in
        try await server.rdmaUp("\(address)/24")
        try await client.rdmaUp("10.78.0.2/24")
        return try await body(RDMAPair(server: server, client: client))
      }
    }
  }

  /// What `memx-bench rmap --json` says.
  struct Pages: Decodable, Sendable {
    let pages: Int
    let pages_per_s: Double
    /// nil of pushes, for which nobody waits.
    let p50_us: Double?
    let p99_us: Double?
    let failures: Int
    /// nil when pages were not verified.
    let wrong_pages: Int?
    let retransmissions: Int

    /// - Throws: ``LabError`` when `text` is something else.
    init(_ text: String) throws {
      do {
        self = try JSONDecoder().decode(Pages.self, from: Data(text.utf8))
      } catch {
        throw LabError("memx-bench rmap said: \(text)")
      }
    }
  }

  /// Runs `memx-bench rmap` in the client's guest, with every page verified if it is not for speed alone.
  ///
  /// - Throws: ``LabError`` when it fails, or says something else.
  func pages(
    _ arguments: String, verify: Bool = true, timeout: Duration = .seconds(120)
  ) async throws -> Pages {
    try Pages(
      try await client.run(
        "memx-bench rmap \(arguments) \(verify ? "--verify" : "--fill") --json", in: .work,
        timeout: timeout))
  }

  /// Runs `memx-bench rmap` many times at once.
  ///
  /// - Returns: how many were told that the server has no place for them.
  func crowd(_ count: Int, _ arguments: String) async throws -> Int {
    let said = try await client.run(
      """
      for i in $(seq \(count)); do memx-bench rmap \(arguments) 2>&1 & done | \
        grep -c 'as many sessions as it may have'
      """, in: .work, timeout: .seconds(120))
    return Int(said) ?? 0
  }

  /// No queue pair of a connection may be left on either side, once nobody uses any.
  func expectNothingLeft(_ findings: Findings) async throws {
    for guest in [server, client] {
      let left = try await guest.run(
        "/programs/bin/rdma resource show qp | grep 'type RC' || true")
      await findings.expect(left.isEmpty, "queue pairs are left behind: \(left)")
    }
  }

  /// Runs `memx-bench rmap`, which must fail, and say why.
  func refusal(_ arguments: String) async throws -> String {
    let outcome = try await client.outcome("memx-bench rmap \(arguments)", in: .work)
    guard !outcome.succeeded else {
      throw LabError("‘memx-bench rmap \(arguments)’ should have been refused: \(outcome.text)")
    }
    return outcome.text
  }
}
