// SPDX-License-Identifier: Apache-2.0
import RMAP

/// What a link is called on a command line: an Ethernet interface's name, or `rdma:` and where.
public enum LinkName: Hashable, Sendable, LosslessStringConvertible {
  case ethernet(String)
  case rdma(VerbsAddress)

  private static let prefix = "rdma:"

  public init?(_ text: String) {
    if text.hasPrefix(Self.prefix) {
      guard let address = VerbsAddress(String(text.dropFirst(Self.prefix.count))) else {
        return nil
      }
      self = .rdma(address)
    } else {
      guard !text.isEmpty else { return nil }
      self = .ethernet(text)
    }
  }

  public var description: String {
    switch self {
    case .ethernet(let name): name
    case .rdma(let address): Self.prefix + address.description
    }
  }
}

/// `ADDRESS-or-DEVICE[:PORT]`: an IP address (of version 6 in brackets when a port follows), or an RDMA device of this
/// machine, which stands for its first address.
public struct VerbsAddress: Hashable, Sendable, LosslessStringConvertible {
  public var host: String
  public var port: UInt16

  public init?(_ text: String) {
    var host = Substring(text)
    var port: Substring?
    if text.first == "[" {
      guard let end = text.firstIndex(of: "]") else { return nil }
      host = text[text.index(after: text.startIndex)..<end]
      let rest = text[text.index(after: end)...]
      guard rest.isEmpty || rest.first == ":" else { return nil }
      if !rest.isEmpty { port = rest.dropFirst() }
    } else if let colon = text.lastIndex(of: ":"), text.firstIndex(of: ":") == colon {
      host = text[..<colon]
      port = text[text.index(after: colon)...]
    }
    guard !host.isEmpty else { return nil }
    self.host = String(host)
    self.port = Wire.rdmaPort
    if let port {
      guard let number = UInt16(port), number > 0, port.first != "+" else { return nil }
      self.port = number
    }
  }

  public var description: String {
    let host = self.host.contains(":") ? "[\(self.host)]" : self.host
    return port == Wire.rdmaPort ? host : "\(host):\(port)"
  }
}
