// SPDX-License-Identifier: Apache-2.0
import Foundation
import MemoryServer
import RMAP
import Synchronization
import Telemetry

/// Puts together what the engines have published. Takes nothing from them but a short lock.
final class StatusReport: Sendable {
  private let server: MemoryServer
  private let start = Date.now
  private let start_ns = DispatchTime.now().uptimeNanoseconds
  private let health = Mutex(HealthMonitor())

  init(_ server: MemoryServer) { self.server = server }

  /// The links whose engine has stopped.
  var stoppedEngines: [String] { stopped(server.engineReports) }

  private func stopped(_ engines: [EngineReport]) -> [String] {
    let heartbeats = engines.map { (link: $0.link, value: $0.heartbeat) }
    let now_ns = DispatchTime.now().uptimeNanoseconds
    return health.withLock { $0.stopped(heartbeats, now_ns: now_ns) }
  }

  /// How everything is now.
  var current: ServerStatus {
    let engines = server.engineReports
    let regions = server.regionReports
    let uptime_ns = DispatchTime.now().uptimeNanoseconds - start_ns
    return ServerStatus(
      uptime_s: Double(uptime_ns / 1_000_000) / 1000,
      start_time_s: (start.timeIntervalSince1970 * 1000).rounded() / 1000,
      healthy: stopped(engines).isEmpty, memory_bytes: server.memoryBytes,
      free_bytes: server.freeBytes,
      stored_bytes: Self.stored_bytes(regions),
      links: engines.map(Self.link),
      regions: regions.map { Self.region($0, engines) })
  }

  /// One line for `systemctl status`.
  var summary: String {
    let engines = server.engineReports
    let regions = server.regionReports
    let down = engines.filter { !$0.isUp }.map(\.link)
    let stored = Self.stored_bytes(regions) >> 20
    return "\(engines.reduce(0) { $0 + $1.sessions.count }) clients, \(regions.count) regions, "
      + "\(stored) of \(server.memoryBytes >> 20) MiB in use"
      + (down.isEmpty ? "" : "; down: \(down.joined(separator: ", "))")
  }

  /// Of the server's own memory; guests' pages are in theirs.
  private static func stored_bytes(_ regions: [RegionReport]) -> Int {
    regions.reduce(0) { $0 + ($1.domain == nil ? $1.storedPages : 0) } * Wire.pageBytes
  }

  private static func link(_ engine: EngineReport) -> ServerStatus.Link {
    let counters = ServerCounters.all.map { ($0.name, engine.counters[keyPath: $0.path]) }
    return ServerStatus.Link(
      name: engine.link, address: engine.address, up: engine.isUp, mtu: engine.mtu,
      sessions: engine.sessions.count, rx_frames: engine.receivedFrames,
      rx_dropped: engine.ringDrops, rx_bad: engine.refusals.frames,
      connections_refused: engine.refusals.connections, tx_frames: engine.sender.frames,
      tx_written: engine.sender.written, tx_bytes: engine.sender.bytes,
      tx_dropped: engine.sender.dropped,
      tx_calls: engine.sender.calls, sleeps: engine.sleeps, cpu_us: engine.cpu_us,
      counters: Dictionary(uniqueKeysWithValues: counters))
  }

  private static func region(
    _ region: RegionReport, _ engines: [EngineReport]
  ) -> ServerStatus.Region {
    var session: ServerStatus.Session?
    for engine in engines {
      guard let found = engine.sessions.first(where: { $0.region == region.index }) else {
        continue
      }
      session = ServerStatus.Session(
        id: "0x" + hex(UInt64(found.id), digits: 8), link: engine.link,
        client: engine.clientAddresses[found.peer] ?? "\(found.peer)",
        mtu: found.mtu, queue_depth: found.queueDepth, credits: found.credits,
        idle_ms: found.idle_ms,
        postcopy: engine.transfers.first { $0.session == found.id }.map(Self.postcopy))
    }
    return ServerStatus.Region(
      name: region.name.description, slots: region.slots, quota_pages: region.quotaPages,
      stored_pages: region.storedPages, reserved_bytes: region.reservedBytes,
      incarnation: hex(region.incarnation, digits: 16), domain: region.domain, session: session)
  }

  private static func postcopy(_ transfer: TransferReport) -> ServerStatus.Postcopy {
    ServerStatus.Postcopy(
      strategy: transfer.strategy, pages: transfer.pages, remaining: transfer.remaining,
      pushed: transfer.pushed, fetched: transfer.fetched, overlapped: transfer.overlapped,
      already_there: transfer.alreadyThere, retransmitted: transfer.retransmitted,
      bandwidth_bytes_s: transfer.bandwidth_bytes_s)
  }

  private static func hex(_ value: UInt64, digits: Int) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: digits - text.count) + text
  }
}
