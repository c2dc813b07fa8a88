// SPDX-License-Identifier: Apache-2.0
import Logging
import MemoryServer
import PageStore

/// What the daemon is to do: options over the file over defaults.
package struct Settings {
  package var server = ServerConfiguration()
  package var http = HTTPAddress.off
  package var logLevel = LogLevel.info
  package var logFormat = LogFormat.text
  /// Serve Xen guests of this host.
  package var xen = false

  /// - Throws: `ConfigurationError` for what the file has wrong.
  package init(options: Memxd) throws {
    let file = try options.operation.config.map { try ConfigurationFile(path: $0) }
    self.init(options: options, file: file)
  }

  init(options: Memxd, file: ConfigurationFile?) {
    let (serving, memory) = (options.serving, options.memory)
    let (limits, operation) = (options.limits, options.operation)
    server.links = serving.link.isEmpty ? file?.links ?? [] : serving.link
    server.regions = serving.region.isEmpty ? file?.regions ?? [] : serving.region
    server.memoryBytes = memory.memory ?? file?.memory ?? 0
    server.arenaDirectory = memory.arena ?? file?.arena
    server.memory = MemoryOptions(
      hugePages: memory.hugepages ?? file?.hugepages ?? .auto == .auto,
      lock: memory.lock ?? file?.lock ?? false)
    server.sessionTimeout_ms =
      (limits.sessionTimeoutMs ?? file?.sessionTimeout_ms).map(UInt32.init)
      ?? server.sessionTimeout_ms
    server.busyPoll_us =
      (limits.busyPollUs ?? file?.busyPoll_us).map(UInt64.init) ?? server.busyPoll_us
    server.maxSessions = limits.maxSessions ?? file?.maxSessions ?? server.maxSessions
    server.ringFrames = limits.ringFrames ?? file?.ringFrames ?? server.ringFrames
    http = operation.http ?? file?.http ?? http
    xen = serving.xen ?? file?.xen ?? xen
    server.foreignRegions = xen ? Self.mostGuests : 0
    logLevel = operation.logLevel ?? file?.logLevel ?? logLevel
    logFormat = operation.logFormat ?? file?.logFormat ?? logFormat
  }

  /// Guests that may be served at a time.
  private static let mostGuests = 16

  /// One line for people.
  package var summary: String {
    var regions = server.regions.map { "\($0.name) \($0.byteCount) bytes" }
    if xen { regions.append("Xen guests'") }
    return
      "links \(server.links.joined(separator: ", ")); regions \(regions.joined(separator: ", "));"
      + " memory \(server.memoryBytes) bytes; http \(http)"
  }
}
