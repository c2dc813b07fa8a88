// SPDX-License-Identifier: Apache-2.0
import Logging
import ServiceLifecycle

/// Says when the daemon is ready, and that it is alive for as long as every engine is.
struct Supervisor: Service {
  let report: StatusReport
  let manager: ServiceManager
  let status: StatusServer?
  let settings: Settings
  let logger: Logger

  func run() async throws {
    var metadata: Logger.Metadata = [
      "links": "\(settings.server.links.joined(separator: ","))",
      "regions": "\(settings.server.regions.count)",
      "memory_bytes": "\(settings.server.memoryBytes)",
    ]
    if let status {
      try await status.waitUntilListening()
      metadata["http_port"] = "\(await status.port ?? 0)"
    }
    logger.notice("ready", metadata: metadata)
    manager.notify("READY=1", "STATUS=\(report.summary)")
    await cancelWhenGracefulShutdown { await supervise() }
    manager.notify("STOPPING=1", "STATUS=ending")
  }

  private func supervise() async {
    // Half of what systemd asks for, and often enough for the health check.
    let period_us = min(1_000_000, max(1000, (manager.watchdog_us ?? .max) / 2))
    var lastSummary = ""
    var wasHealthy = true
    while true {
      do { try await Task.sleep(for: .microseconds(Int64(period_us))) } catch { return }
      let stopped = report.stoppedEngines
      if stopped.isEmpty {
        if manager.watchdog_us != nil { manager.notify("WATCHDOG=1") }
        wasHealthy = true
      } else if wasHealthy {
        wasHealthy = false
        logger.critical(
          "an engine has stopped", metadata: ["links": "\(stopped.joined(separator: ","))"])
      }
      let summary = report.summary
      if summary != lastSummary { manager.notify("STATUS=\(summary)") }
      lastSummary = summary
    }
  }
}
