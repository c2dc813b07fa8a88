// SPDX-License-Identifier: Apache-2.0
import Console
import Control
import Processes
import Xen

/// A migration as dom0 of the source drives it.
///
/// The phases are the paper's (section 3): pages go out while the guest runs, and what cannot is sent ahead
/// (preparation), it is suspended and what is left moves (downtime), it runs at the target and its pages follow
/// (resume). Until it runs at the target everything can be undone; afterwards the target has the only guest that may
/// run.
public struct SourceMigration {
  let store: Store
  let toolstack: Toolstack
  let mapper: any FrameMapper
  let request: MigrationRequest
  /// Whether somebody wants it to stop.
  let isCancelled: () -> Bool
  let progress: (MigrationProgress) -> Void

  var domain = 0
  var report = MigrationReport()

  /// - Parameters:
  ///   - store: dom0's XenStore.
  ///   - mapper: maps the guest's frames.
  ///   - isCancelled: asked several times a second until the guest runs at the target.
  ///   - progress: told several times a second.
  public init(
    _ request: MigrationRequest, store: any XenStoreConnection, mapper: any FrameMapper,
    toolstack: Toolstack = Toolstack(), isCancelled: @escaping () -> Bool,
    progress: @escaping (MigrationProgress) -> Void
  ) {
    self.request = request
    self.store = Store(connection: store)
    self.mapper = mapper
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
    var image = ImageSender(output: channel.output)
    try prepare(server: server, channel, &image)
    try transfer(channel, &image)
    try follow(channel)
    return report
  }

  /// - Returns: the address at which memxd serves, over the transport that the guest's module uses.
  private mutating func check() throws(Failure) -> String {
    do throws(RunFailure) {
      domain = try toolstack.domain(request.domain)
      guard let version = try guest.text("version") else {
        throw RunFailure(
          "\(request.domain) has no pseudo-paging device; in the guest: modprobe memx, and "
            + "memxctl attach --pseudo --swap")
      }
      guard version == "2" else {
        throw RunFailure(
          "the module in \(request.domain) speaks version \(version), this program version 2; "
            + "install the same version of memx")
      }
      report.transport = try guest.text("transport") ?? report.transport
      guard let server = try store.read(ServeKeys.server(report.transport)) else {
        throw RunFailure(
          "no memxd serves Xen guests over \(report.transport) on this host; start one with: memxd "
            + "--xen --link " + (report.transport == "rdma" ? "rdma:ADDRESS" : "INTERFACE"))
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
        "version": "\(Line.version)", "domain": request.domain,
        "memory_mib": "\((report.memory_pages + 255) / 256)",
      ])
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
}
