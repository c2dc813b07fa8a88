// SPDX-License-Identifier: Apache-2.0
import FlyingFox
import FlyingSocks
import Foundation
import Logging
import MemoryServer
import ServiceLifecycle
import Synchronization
import Telemetry

/// Serves the status over HTTP to this machine.
package struct StatusServer: Service {
  private let server: HTTPServer
  private let address: HTTPAddress

  /// - Parameters:
  ///   - address: not `.off`.
  ///   - logger: told of what goes wrong.
  ///   - status: asked once for each request.
  package init(
    address: HTTPAddress, logger: Logger, status: @escaping @Sendable () -> ServerStatus
  ) async throws {
    self.address = address
    let log = HTTPLog(logger: logger)
    server =
      switch address {
      case .ipv6(let host, let port):
        HTTPServer(address: try .inet6(ip6: host, port: port), timeout: 5, logger: log)
      case .ipv4(let host, let port):
        HTTPServer(address: try .inet(ip4: host, port: port), timeout: 5, logger: log)
      case .off: throw ConfigurationError("http is off")
      }
    await server.appendRoute("GET /status") { _ in
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      return Self.response(.ok, "application/json", try encoder.encode(status()))
    }
    await server.appendRoute("GET /metrics") { _ in
      Self.response(.ok, PrometheusText.contentType, Data(status().prometheus.utf8))
    }
    await server.appendRoute("GET /healthz") { _ in
      let healthy = status().healthy
      return Self.response(
        healthy ? .ok : .serviceUnavailable, "text/plain; charset=utf-8",
        Data((healthy ? "ok\n" : "an engine has stopped\n").utf8))
    }
    await server.appendRoute("GET /") { _ in
      Self.response(.ok, "text/plain; charset=utf-8", Data("/status /metrics /healthz\n".utf8))
    }
  }

  private static func response(
    _ code: HTTPStatusCode, _ type: String, _ body: Data
  ) -> HTTPResponse {
    HTTPResponse(
      statusCode: code, headers: [.contentType: type, HTTPHeader("Cache-Control"): "no-store"],
      body: body)
  }

  /// Waits until requests are answered.
  package func waitUntilListening() async throws {
    try await server.waitUntilListening(timeout: 5)
  }

  /// The port that is listened on, also when the system was left to choose; nil before.
  package var port: UInt16? {
    get async {
      switch await server.listeningAddress {
      case .ip4(_, let port)?, .ip6(_, let port)?: port
      default: nil
      }
    }
  }

  package func run() async throws {
    let isEnding = Atomic(false)
    do {
      try await withGracefulShutdownHandler {
        try await server.run()
      } onGracefulShutdown: {
        isEnding.store(true, ordering: .releasing)
        Task { await server.stop() }
      }
    } catch {
      // When it ends, closing its socket may be an error.
      if isEnding.load(ordering: .acquiring) || error is CancellationError { return }
      guard case SocketError.failed(_, let code, let message) = error else {
        throw ConfigurationError("http: \(address): \(error)")
      }
      throw ConfigurationError(
        "http: cannot listen on \(address): \(message) (\(code)); name another port with --http")
    }
  }
}

private struct HTTPLog: FlyingSocks.Logging {
  let logger: Logger

  func logDebug(_ text: @autoclosure () -> String) { logger.trace("http: \(text())") }
  func logInfo(_ text: @autoclosure () -> String) { logger.trace("http: \(text())") }
  func logWarning(_ text: @autoclosure () -> String) { logger.debug("http: \(text())") }
  func logError(_ text: @autoclosure () -> String) { logger.debug("http: \(text())") }
  func logCritical(_ text: @autoclosure () -> String) { logger.debug("http: \(text())") }
}
