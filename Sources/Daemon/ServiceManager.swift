// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Tells systemd how the daemon is, by the protocol of sd_notify(3); without systemd does nothing.
package struct ServiceManager: Sendable {
  private let socketPath: String?
  /// How often systemd wants a sign of life, in microseconds; nil for never.
  package let watchdog_us: UInt64?

  /// - Parameter environment: `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` are used.
  package init(environment: [String: String] = ProcessInfo.processInfo.environment) {
    socketPath = environment["NOTIFY_SOCKET"]
    let isMine = environment["WATCHDOG_PID"].map { $0 == "\(getpid())" } ?? true
    watchdog_us = isMine ? environment["WATCHDOG_USEC"].flatMap(UInt64.init) : nil
  }

  /// Sends assignments, `READY=1` say.
  ///
  /// - Returns: false when they could not be sent.
  @discardableResult
  package func notify(_ assignments: String...) -> Bool {
    guard let socketPath, var address = Self.address(socketPath) else { return false }
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    let text = Array(assignments.joined(separator: "\n").utf8)
    let length = socklen_t(
      MemoryLayout<sockaddr_un>.offset(of: \.sun_path)! + socketPath.utf8.count)
    let sent = withUnsafePointer(to: &address) { address in
      address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        sendto(descriptor, text, text.count, Int32(MSG_NOSIGNAL), $0, length)
      }
    }
    return sent == text.count
  }

  /// A path, or with `@` an abstract name.
  private static func address(_ path: String) -> sockaddr_un? {
    var bytes = Array(path.utf8)
    guard let first = bytes.first, first == UInt8(ascii: "/") || first == UInt8(ascii: "@"),
      bytes.count < MemoryLayout.size(ofValue: sockaddr_un().sun_path)
    else { return nil }
    if first == UInt8(ascii: "@") { bytes[0] = 0 }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    return address
  }
}
