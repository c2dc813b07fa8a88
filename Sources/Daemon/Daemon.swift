// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Logging
import MemoryServer
import ServiceLifecycle
import UnixSignals
import Xen

/// The daemon from its start to its clean end.
struct Daemon {
  private let settings: Settings
  private let writer = LogWriter()
  private let logger: Logger

  init(_ settings: Settings) {
    self.settings = settings
    let handler = DaemonLogHandler(
      level: settings.logLevel.level, format: settings.logFormat,
      isJournal: DaemonLogHandler.standardErrorIsJournal(), write: writer.write)
    logger = Logger(label: "memxd") { _ in handler }
  }

  /// Serves until a signal says to end.
  ///
  /// - Throws: what kept it from serving.
  func run() async throws {
    defer { writer.flush() }
    signal(SIGPIPE, SIG_IGN)
    let quota = settings.server.regions.reduce(0) { $0 + $1.quotaBytes }
    if quota > settings.server.memoryBytes {
      logger.warning(
        "the regions' quotas are more than the memory: writes may be refused",
        metadata: ["quotas_bytes": "\(quota)", "memory_bytes": "\(settings.server.memoryBytes)"])
    }
    let server = try MemoryServer(settings.server, logger: logger)
    try server.start()
    defer { server.stop() }
    let report = StatusReport(server)
    let manager = ServiceManager()
    var services: [any Service] = []
    var status: StatusServer?
    if settings.http != .off {
      let http = try await StatusServer(address: settings.http, logger: logger) { report.current }
      status = http
      services.append(http)
    }
    if settings.xen {
      services.append(
        try XenService(server: server, mapper: ForeignMemory(), logger: logger) {
          () throws(XenError) in try XenStore()
        })
    }
    services.append(
      Supervisor(
        report: report, manager: manager, status: status, settings: settings, logger: logger))
    var quiet = logger
    quiet.logLevel = max(.warning, logger.logLevel)
    let group = ServiceGroup(
      configuration: ServiceGroupConfiguration(
        services: services.map { .init(service: $0) },
        gracefulShutdownSignals: [.sigterm, .sigint],
        logger: quiet))
    let impatience = forceOnSecondSignal()
    defer { impatience.cancel() }
    try await group.run()
    logger.info("ending")
    server.stop()
    logger.notice("ended; sessions are closed and an arena in files is whole")
  }

  /// The first signal ends the daemon in order, the second at once.
  private func forceOnSecondSignal() -> Task<Void, Never> {
    let (logger, writer) = (logger, writer)
    return Task {
      var count = 0
      for await signal in await UnixSignalsSequence(trapping: .sigterm, .sigint) {
        count += 1
        guard count > 1 else {
          logger.notice(
            "ending in order; another signal ends at once", metadata: ["signal": "\(signal)"])
          continue
        }
        logger.critical("ended by a second signal", metadata: ["signal": "\(signal)"])
        writer.flush()
        _exit(1)
      }
    }
  }
}
