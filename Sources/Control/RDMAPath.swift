// SPDX-License-Identifier: Apache-2.0
import Glibc

/// From where a connection over RDMA leads; what is nil is the kernel's choice by the server's address.
public struct RDMAPath: Sendable, Equatable {
  /// The RDMA device, as `rdma link` names it.
  public var device: String?
  /// The device's port, from 1.
  public var port: Int?
  /// Which entry of the port's GID table; over RoCE it stands for an address of this machine.
  public var gidIndex: Int?

  public init(device: String? = nil, port: Int? = nil, gidIndex: Int? = nil) {
    self.device = device
    self.port = port
    self.gidIndex = gidIndex
  }

  /// Words for the line that attaches.
  var words: [String] {
    guard let device else { return [] }
    return ["device=\(device)"] + (port.map { ["ib_port=\($0)"] } ?? [])
      + (gidIndex.map { ["gid_index=\($0)"] } ?? [])
  }
}

extension Word {
  /// What stands in front of a server's address that is reached over RDMA.
  static let rdmaPrefix = "rdma:"

  /// `rdma:` alone: over RDMA, to the server that a migration will name.
  public static let rdmaAlone = rdmaPrefix

  /// `rdma:ADDRESS[:PORT]`: the IP address of a server, of version 6 in brackets when a port follows; or `rdma:` alone.
  static func rdmaLink(_ text: String) throws(InvalidWord) -> String {
    guard text != rdmaAlone else { return text }
    let place = text.dropFirst(rdmaPrefix.count)
    var host = place
    var port: Substring?
    if place.first == "[", let end = place.firstIndex(of: "]") {
      host = place[place.index(after: place.startIndex)..<end]
      let rest = place[place.index(after: end)...]
      port = rest.isEmpty ? nil : rest.first == ":" ? rest.dropFirst() : ""
    } else if let colon = place.firstIndex(of: ":"), place.lastIndex(of: ":") == colon {
      host = place[..<colon]
      port = place[place.index(after: colon)...]
    }
    let isPort = port.map { UInt16($0) ?? 0 > 0 && $0.first != "+" } ?? true
    guard isPort, isAddress(String(host)) else {
      throw InvalidWord(
        description:
          "'\(text)' is no server over RDMA; give its IP address, such as rdma:192.0.2.1 or "
          + "rdma:[2001:db8::1]:34997")
    }
    return text
  }

  private static func isAddress(_ text: String) -> Bool {
    var address = in6_addr()
    return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1
  }

  /// The name of an RDMA device: 1 to 63 bytes without blanks, slashes and colons.
  public static func rdmaDevice(_ text: String) throws(InvalidWord) -> String {
    let allowed = text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != 0x2f && $0 != 0x3a }
    guard allowed, (1...63).contains(text.utf8.count) else {
      throw InvalidWord(
        description: "'\(text)' is no RDMA device's name; `rdma link` lists them, such as mlx5_0")
    }
    return text
  }
}
