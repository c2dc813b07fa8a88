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
  ///   - clientMemory_mib: the client's, which then has two processors; the same, and one, when nil.
  ///   - mtu: of both network cards, and so of what RDMA makes of a page: one packet at 9000, two at 2200, four at 1500.
  static func with<R: Sendable>(
    _ bed: Bed, memory_mib: Int = 256, clientMemory_mib: Int? = nil, mtu: Int = 9000,
    _ body: @escaping @Sendable (RDMAPair) async throws -> R
  ) async throws -> R {
    var server = serverMachine(memory_mib: memory_mib)
    var client = clientMachine(memory_mib: memory_mib)
    (server.mtu, client.mtu) = (mtu, mtu)
    if let clientMemory_mib {
      client.memory_mib = clientMemory_mib
      client.processors = 2
    }
    try await connect(bed)
    return try await bed.withGuest(server) { [client] server in
      try await bed.withGuest(client) { client in
        try await server.rdmaUp("\(address)/24")
        try await client.rdmaUp("10.78.0.2/24")
        return try await body(RDMAPair(server: server, client: client))
      }
    }
  }

  /// The same with a client that is short of memory.
  ///
  /// Linux 6.1 then seldom has two pages in a row for a packet of a page, so there a page goes in two packets
  /// (docs/RDMA.md).
  static func withSwappingClient<R: Sendable>(
    _ bed: Bed, memory_mib: Int, clientMemory_mib: Int,
    _ body: @escaping @Sendable (RDMAPair) async throws -> R
  ) async throws -> R {
    try await with(
      bed, memory_mib: memory_mib, clientMemory_mib: clientMemory_mib,
      mtu: bed.parts.kernel.series == .v6_1 ? 2200 : 9000, body)
  }

  /// Boots a client, and one server after the other at the same address: the second knows nothing of the first,
  /// which goes without a word.
  static func withRebootedServer(
    _ bed: Bed, before: @escaping @Sendable (RDMAPair) async throws -> Void,
    after: @escaping @Sendable (RDMAPair) async throws -> Void
  ) async throws {
    try await connect(bed)
    try await bed.withGuest(clientMachine(memory_mib: 256)) { client in
      try await client.rdmaUp("10.78.0.2/24")
      for (name, body) in [("server", before), ("server-rebooted", after)] {
        var machine = serverMachine(memory_mib: 256)
        machine.name = name
        try await bed.withGuest(machine) { server in
          try await server.rdmaUp("\(address)/24")
          try await body(RDMAPair(server: server, client: client))
        }
      }
    }
  }

  private static func connect(_ bed: Bed) async throws {
    try await bed.namespace.addTap("tap1", mtu: 9000)
    try await bed.namespace.addBridge("br0", joining: ["tap0", "tap1"], mtu: 9000)
  }

  private static func serverMachine(memory_mib: Int) -> Machine {
    var machine = Machine(memory_mib: memory_mib, processors: 1)
    machine.name = "server"
    return machine
  }

  private static func clientMachine(memory_mib: Int) -> Machine {
    var machine = Machine(memory_mib: memory_mib, processors: 1)
    machine.name = "client"
    machine.address = "52:54:00:6d:78:02"
    machine.tap = "tap1"
    return machine
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
  /// - Returns: what each of them said, a line each.
  func crowd(_ count: Int, _ arguments: String) async throws -> [Substring] {
    try await client.run(
      """
      for i in $(seq \(count)); do
        { said=$(memx-bench rmap \(arguments) 2>&1); echo ${said:-nothing}; } &
      done
      wait
      """, in: .work, timeout: .seconds(180)
    ).split(separator: "\n")
  }

  /// How many connections a guest has, as a shell command.
  static let connections = "/programs/bin/rdma resource show qp | grep -c 'type RC'"

  /// Once nobody uses the devices, only what the kernel's RDMA core has for itself may be left on either side.
  func expectNothingLeft(_ findings: Findings) async throws {
    for guest in [server, client] {
      // The queue pair of the connection manager shows that there is something to be seen.
      let pairs = try await guest.rdmaResources("qp")
      await findings.expect(
        pairs.contains { $0.contains("[ib_core]") },
        "the RDMA core's own queue pair is not listed: \(pairs)")
      for kind in ["qp", "cq", "pd", "mr", "cm_id", "ctx", "srq"] {
        let left = try await guest.rdmaResources(kind).filter { !$0.contains("[ib_core]") }
        await findings.expect(left.isEmpty, "of \(kind) are left: \(left)")
      }
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

extension Guest {
  /// What its RDMA devices have of a kind, a line each.
  ///
  /// - Parameter kind: as `rdma resource show` knows it, such as `qp`.
  func rdmaResources(_ kind: String) async throws -> [String] {
    let text = try await run("/programs/bin/rdma resource show \(kind)")
    return text.split(separator: "\n").map(String.init)
  }
}
