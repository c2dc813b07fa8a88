// SPDX-License-Identifier: Apache-2.0
import Glibc
import MemoryServer

/// Where the status is served; only this machine can reach it.
package enum HTTPAddress: Sendable, Equatable, CustomStringConvertible {
  case off
  case ipv4(String, port: UInt16)
  case ipv6(String, port: UInt16)

  /// Reads `127.0.0.1:PORT`, `[::1]:PORT` or `off`.
  package init(parsing text: String) throws {
    let allowed = "write 127.0.0.1:PORT, [::1]:PORT or off"
    if text == "off" {
      self = .off
      return
    }
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...])
    else { throw ConfigurationError("http: '\(text)' is not an address and a port; \(allowed)") }
    var host = String(text[..<colon])
    var isLoopback = false
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = String(host.dropFirst().dropLast())
      var address = in6_addr()
      guard inet_pton(AF_INET6, host, &address) == 1 else {
        throw ConfigurationError("http: '\(host)' is not an IPv6 address; \(allowed)")
      }
      isLoopback = withUnsafeBytes(of: &address) {
        $0.dropLast().allSatisfy { $0 == 0 } && $0[15] == 1
      }
      self = .ipv6(host, port: port)
    } else {
      var address = in_addr()
      guard inet_pton(AF_INET, host, &address) == 1 else {
        throw ConfigurationError("http: '\(host)' is not an IPv4 address; \(allowed)")
      }
      isLoopback = UInt32(bigEndian: address.s_addr) >> 24 == 127
      self = .ipv4(host, port: port)
    }
    guard isLoopback else {
      throw ConfigurationError(
        "http: '\(host)' is not a loopback address, and the status has no access control; \(allowed),"
          + " and put a proxy in front for others")
    }
  }

  package var description: String {
    switch self {
    case .off: "off"
    case .ipv4(let host, let port): "\(host):\(port)"
    case .ipv6(let host, let port): "[\(host)]:\(port)"
    }
  }
}
