// SPDX-License-Identifier: Apache-2.0
import Daemon
import Foundation
import Logging
import ServiceLifecycle
import Synchronization
import Telemetry
import TestSupport
import Testing

@Suite struct StatusServerTests {
  @Test func anUnhealthyServerSaysSo() async throws {
    let isHealthy = Mutex(true)
    let server = try await StatusServer(
      address: .ipv4("127.0.0.1", port: 0), logger: Logger(label: "test")
    ) {
      ServerStatus(
        uptime_s: 1, start_time_s: 2, healthy: isHealthy.withLock { $0 }, memory_bytes: 3,
        free_bytes: 3, stored_bytes: 0, links: [], regions: [])
    }
    let task = Task { try await server.run() }
    defer { task.cancel() }
    try await server.waitUntilListening()
    let port = try #require(await server.port)
    #expect(try HTTPAnswer(port: port, path: "/healthz").code == 200)
    #expect(try HTTPAnswer(port: port, path: "/healthz").body == "ok\n")
    isHealthy.withLock { $0 = false }
    let answer = try HTTPAnswer(port: port, path: "/healthz")
    #expect(answer.code == 503)
    #expect(answer.body == "an engine has stopped\n")
    #expect(try HTTPAnswer(port: port, path: "/status").body.contains("\"healthy\":false"))
    #expect(try HTTPAnswer(port: port, path: "/metrics").body.contains("\nmemx_healthy 0\n"))
    #expect(try HTTPAnswer(port: port, path: "/other").code == 404)
  }
}
