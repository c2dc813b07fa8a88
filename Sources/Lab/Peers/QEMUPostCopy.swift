// SPDX-License-Identifier: Apache-2.0

/// QEMU's two kinds of post-copy.
public enum QEMUPostCopy: String, CaseIterable, Sendable {
  /// Capability postcopy-ram: pages asked for queue behind those pushed, on one connection.
  case plain = "qemu-postcopy"
  /// With postcopy-preempt as well: pages asked for have a connection of their own.
  case preempt = "qemu-postcopy-preempt"

  private static let port = 4444

  /// Moves a guest that waits to touch its memory, lets it do so, and has it check the memory.
  ///
  /// Post-copy is asked for right after `migrate`, and what may be sent before is held down, so
  /// that all memory moves in post-copy. The guest is told to begin when it runs at the
  /// destination: all of its pass falls into the move.
  ///
  /// - Parameter timeout: for each of the move, the pass and the check.
  /// - Throws: ``LabError`` when a step fails or takes too long, or a page has wrong data.
  func move(
    from source: TouchGuest, to destination: TouchGuest, over wire: Wire, timeout: Duration
  ) async throws -> PostCopyFigures {
    let filled = try await source.line.line("the guest to fill its memory", timeout: timeout)
    guard filled == "filled" else { throw LabError("the guest said ‘\(filled)’ at its start") }

    let uri = ["uri": "tcp:\(wire.address):\(Self.port)"]
    try await destination.qmp.execute(
      "migrate-set-capabilities", Capabilities(names + ["postcopy-blocktime"]))
    try await destination.qmp.execute("migrate-incoming", uri)
    try await source.qmp.execute("migrate-set-capabilities", Capabilities(names))
    try await source.qmp.execute("migrate-set-parameters", ["max-bandwidth": 64 << 10])
    try await source.qmp.execute("migrate", uri)
    try await source.qmp.execute("migrate-start-postcopy")

    let resumed_us: Int64
    do {
      resumed_us = try await destination.qmp.event("RESUME", timeout: .seconds(30))
    } catch {
      let status = try await source.qmp.ask("query-migrate", as: MigrationStatus.self)
      throw LabError(
        "the guest did not resume: the migration is ‘\(status.status ?? "not begun")’"
          + (status.error.map { ": \($0)" } ?? ""))
    }
    let start = ContinuousClock.now
    try destination.line.poke()
    let report = try TouchReport(
      try await destination.line.line("the guest to touch its memory", timeout: timeout))
    let finished_ms = (ContinuousClock.now - start) / .milliseconds(1)
    let stopped_us = try await source.qmp.event("STOP", timeout: .seconds(5))
    let sent = try await completed(source, timeout)
    let received = try await completed(destination, timeout)
    try destination.line.poke()
    let verdict = try await destination.line.line("the guest to check its memory", timeout: timeout)
    guard verdict == "verified" else {
      throw LabError("the moved guest found wrong data: it said ‘\(verdict)’")
    }
    try await destination.poweredOff()
    guard destination.trouble.isEmpty else {
      throw LabError(
        "the moved guest's kernel said:\n\(destination.trouble.joined(separator: "\n"))")
    }
    return try PostCopyFigures(
      source: sent, destination: received, downtime_us: resumed_us - stopped_us, pass: report,
      finished_ms: finished_ms)
  }

  private var names: [String] {
    self == .preempt ? ["postcopy-ram", "postcopy-preempt"] : ["postcopy-ram"]
  }

  /// Waits until a side says that the migration is at its end.
  private func completed(_ side: TouchGuest, _ timeout: Duration) async throws -> MigrationStatus {
    try await within(timeout, "the migration to end") {
      while true {
        let status = try await side.qmp.ask("query-migrate", as: MigrationStatus.self)
        switch status.status {
        case "completed": return status
        case "failed", "cancelled", "postcopy-paused":
          throw LabError(
            "the migration is ‘\(status.status ?? "")’" + (status.error.map { ": \($0)" } ?? ""))
        default: try await Task.sleep(for: .milliseconds(20))
        }
      }
    }
  }

  /// What `migrate-set-capabilities` takes.
  private struct Capabilities: Encodable {
    struct Capability: Encodable {
      let capability: String
      let state = true
    }
    let capabilities: [Capability]

    init(_ names: [String]) { capabilities = names.map { Capability(capability: $0) } }
  }
}
