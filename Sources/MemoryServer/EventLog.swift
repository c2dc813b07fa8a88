// SPDX-License-Identifier: Apache-2.0
import Glibc
import Links
import Logging
import RMAP

/// Writes what happens to sessions to the log; what the wire can cause at will, ten lines a second
/// at most.
struct EventLog {
  private let logger: Logger
  private let peers: PeerDirectory?
  private var window: Int = 0
  private var linesInWindow = 0
  private var suppressed = 0

  private static let linesPerSecond = 10

  /// - Parameter peers: over RDMA, whom connections lead to.
  init(_ logger: Logger, peers: PeerDirectory? = nil) {
    self.logger = logger
    self.peers = peers
  }

  mutating func note(_ event: ServerEvent) {
    switch event {
    case .attached(let region, let peer, let session, let mtu, let queueDepth):
      guard mayWrite() else { return }
      logger.info(
        "client attached",
        metadata: [
          "region": "\(region)", "client": "\(name(peer))", "session": "\(hex(session))",
          "mtu": "\(mtu)", "queue_depth": "\(queueDepth)",
        ])
    case .refused(let region, let peer, let status):
      guard mayWrite() else { return }
      logger.warning(
        "attach refused",
        metadata: [
          "region": "\(region?.description ?? "malformed")", "client": "\(name(peer))",
          "reason": "\(status)",
        ])
    case .detached(let session, let peer):
      guard mayWrite() else { return }
      logger.info(
        "client detached", metadata: ["session": "\(hex(session))", "client": "\(name(peer))"])
    case .expired(let session, let peer):
      logger.warning(
        "session expired: the client was silent",
        metadata: ["session": "\(hex(session))", "client": "\(name(peer))"])
    case .disconnected(let session, let peer, let reason):
      guard mayWrite() else { return }
      logger.info(
        "client's connection has ended, and its session with it",
        metadata: [
          "session": "\(hex(session))", "client": "\(name(peer))", "reason": "\(reason)",
        ])
    case .replaced(let session, let peer):
      guard mayWrite() else { return }
      logger.info(
        "client attached again; its former session ends",
        metadata: ["session": "\(hex(session))", "client": "\(name(peer))"])
    case .faulty(let peer, let status):
      guard mayWrite() else { return }
      logger.warning(
        "bad request", metadata: ["client": "\(name(peer))", "reason": "\(status)"])
    }
  }

  private mutating func mayWrite() -> Bool {
    let now = time(nil)
    if now != window {
      if suppressed > 0 {
        logger.warning("further lines about clients left out", metadata: ["lines": "\(suppressed)"])
      }
      (window, linesInWindow, suppressed) = (now, 0, 0)
    }
    guard linesInWindow < Self.linesPerSecond else {
      suppressed += 1
      return false
    }
    linesInWindow += 1
    return true
  }

  private func name(_ peer: MACAddress) -> String { peers?[peer] ?? "\(peer)" }

  private func hex(_ session: UInt32) -> String { "0x" + String(session, radix: 16) }
}
