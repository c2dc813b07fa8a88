// SPDX-License-Identifier: Apache-2.0
import Glibc
import RMAP

/// A client as a region's configuration names it: by its Ethernet address, or over RDMA by its IP address.
public enum ClientAddress: Hashable, Sendable, LosslessStringConvertible {
  case ethernet(MACAddress)
  /// In its usual form.
  case ip(String)

  public init?(_ text: String) {
    if let address = MACAddress(text) {
      guard !address.isGroup else { return nil }
      self = .ethernet(address)
    } else if let address = Self.usualForm(text, AF_INET) ?? Self.usualForm(text, AF_INET6) {
      self = .ip(address)
    } else {
      return nil
    }
  }

  public var description: String {
    switch self {
    case .ethernet(let address): address.description
    case .ip(let address): address
    }
  }

  private static func usualForm(_ text: String, _ family: Int32) -> String? {
    withUnsafeTemporaryAllocation(byteCount: 16, alignment: 8) { binary in
      guard inet_pton(family, text, binary.baseAddress!) == 1 else { return nil }
      return withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) {
        guard
          inet_ntop(family, binary.baseAddress!, $0.baseAddress!, socklen_t(INET6_ADDRSTRLEN))
            != nil
        else { return nil }
        return String(cString: $0.baseAddress!)
      }
    }
  }
}
