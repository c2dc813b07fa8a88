// SPDX-License-Identifier: Apache-2.0
import Console
import Control
import Glibc
import Processes
import Xen

/// A migration as dom0 of the source drives it.
///
/// The phases are the paper's (section 3): pages go out while the guest runs (preparation), it is suspended and
/// what is left moves (downtime), it runs at the target and its pages follow (resume). Until it runs at the
/// target everything can be undone; afterwards the target has the only guest that may run.
public struct SourceMigration {
  let store: Store
  let toolstack: Toolstack
  let request: MigrationRequest
  /// Whether somebody wants it to stop.
  let isCancelled: () -> Bool
  let progress: (MigrationProgress) -> Void

  var domain = 0
  var report = MigrationReport()
  var began_ns: UInt64 = 0

  /// - Parameters:
  ///   - store: dom0's XenStore.
  ///   - isCancelled: asked several times a second until the guest runs at the target.
  ///   - progress: told several times a second.
  public init(
    _ request: MigrationRequest, store: any XenStoreConnection, toolstack: Toolstack = Toolstack(),
    isCancelled: @escaping () -> Bool,
    progress: @escaping (MigrationProgress) -> Void
  ) {
    self.request = request
    self.store = Store(connection: store)
    self.toolstack = toolstack
    self.isCancelled = isCancelled
    self.progress = progress
  }

  var guest: GuestKeys { GuestKeys(store, domain: domain) }
  var serve: ServeKeys { ServeKeys(store, domain: domain) }

  /// Migrates.
  ///
  /// - Returns: what it took; the domain is gone from this host.
  /// - Throws: ``Failure`` with what went wrong, where the guest is now, and what to do.
  public mutating func run() throws(Failure) -> MigrationReport {
    report.domain = request.domain
    progress(MigrationProgress(phase: .check, fraction: 0))
    let server = try check()
    let channel: TargetChannel
    do throws(RunFailure) {
      channel = try TargetChannel(request.channel)
    } catch {
      throw Failure(.failed, error.description)
    }
    try greet(channel)
    try prepare(server: server)
    try transfer(channel)
    try follow(channel)
    return report
  }

  /// - Returns: the address at which memxd serves.
  private mutating func check() throws(Failure) -> String {
    do throws(RunFailure) {
      domain = try toolstack.domain(request.domain)
      try request.compression?.path()
      guard let server = try store.read(ServeKeys.server) else {
        throw RunFailure("no memxd serves Xen guests on this host; start one with: memxd --xen")
      }
      guard let version = try guest.text("version") else {
        throw RunFailure(
          "\(request.domain) has no pseudo-paging device; in the guest: modprobe memx, and "
            + "memxctl attach --pseudo --swap")
      }
      guard version == "1" else {
        throw RunFailure(
          "the module in \(request.domain) speaks version \(version), this program version 1; "
            + "install the same version of memx")
      }
      guard let state = try guest.state(), state.isAtRest else {
        throw RunFailure("\(request.domain) is being migrated already")
      }
      let target_kib = try store.read("/local/domain/\(domain)/memory/target")
      report.memory_pages = (target_kib.flatMap { UInt64($0) } ?? 0) / 4
      return server
    } catch {
      throw Failure(.failed, error.description)
    }
  }

  /// Tells the target what comes, and hears whether it can take it.
  private func greet(_ channel: TargetChannel) throws(Failure) {
    let hello = Line(
      "memx-migrate",
      [
        "version": "1", "domain": request.domain,
        "memory_mib": "\((report.memory_pages + 255) / 256)",
      ].merging(request.compression.map { ["compression": $0.rawValue] } ?? [:]) { $1 })
    guard channel.send(hello), case .line(let answer) = channel.receive(timeout_ms: 60_000) else {
      throw Failure(
        .timedOut,
        "nothing at the target answers: \(request.channel.joined(separator: " ")) should run "
          + "memxctl receive there")
    }
    guard answer.word == "ready" else {
      throw Failure(
        .refused,
        "the target refuses: \(answer.values["text"] ?? answer.text); "
          + "\(request.domain) runs on here")
    }
  }

  /// Has the guest page out while it runs.
  private mutating func prepare(server: String) throws(Failure) {
    began_ns = monotonicNs()
    do throws(RunFailure) {
      let region = "xen-\(domain)-\(randomWord(length: 8))"
      let token = randomWord(length: 32)
      try serve.ask(region: region, token: token)
      for (name, value) in [
        ("server", server), ("region", region), ("token", token), ("strategy", request.strategy),
        ("rate", "\(request.rate_bytes_s)"), ("prepare_s", "\(request.prepare_s)"),
        ("request", "prepare"),
      ] {
        try guest.write(name, value)
      }
      try store.watch(guest.path)
      try awaitPrepared()
    } catch {
      try? cancelPreparation()
      throw Failure(.failed, "\(error.description); \(request.domain) runs on here")
    }
    report.preparation_ms = (monotonicNs() - began_ns) / 1_000_000
  }

  private func awaitPrepared() throws(RunFailure) {
    let limit_ns = UInt64(request.prepare_s + 60) * 1_000_000_000
    var seen = false
    while true {
      // Until the module has taken the request, the state is an earlier migration's.
      let state = try guest.text("request") == nil ? try guest.state() : nil
      if state == .prepared { return }
      if state == .preparing { seen = true }
      if state == .failed || seen && state == .idle {
        throw RunFailure(
          "the guest cannot page out: \(try guest.text("error") ?? "it does not say why")")
      }
      if isCancelled() { throw RunFailure("cancelled") }
      if monotonicNs() - began_ns > limit_ns {
        throw RunFailure(
          seen
            ? "the guest pages out for longer than \(request.prepare_s) s"
            : "the guest's module does not answer; see its kernel log")
      }
      let released = try guest.number("released") ?? 0
      let share = Double(released) / Double(max(1, report.memory_pages))
      progress(MigrationProgress(phase: .prepare, fraction: share))
      waitForChange(timeout_ms: 200)
    }
  }

  func cancelPreparation() throws(RunFailure) {
    try guest.write("request", "cancel")
    try serve.remove()
  }

  /// Waits until XenStore says something, or for `timeout_ms`.
  func waitForChange(timeout_ms: Int32) {
    var ready = pollfd(fd: store.descriptor, events: Int16(POLLIN), revents: 0)
    if poll(&ready, 1, timeout_ms) > 0 { try? store.takeChanges() }
  }
}

/// Letters and digits that nobody can guess.
private func randomWord(length: Int) -> String {
  let letters = Array("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
  var generator = SystemRandomNumberGenerator()
  return String((0..<length).map { _ in letters.randomElement(using: &generator)! })
}
