// SPDX-License-Identifier: Apache-2.0
import Links
import RMAP
import Testing

@Suite struct LinkNameTests {
  @Test func aNameWithoutPrefixIsAnInterface() {
    #expect(LinkName("eth0") == .ethernet("eth0"))
    #expect(LinkName("rdma0") == .ethernet("rdma0"))
    #expect(LinkName("") == nil)
  }

  @Test(arguments: [
    ("10.0.0.1", "10.0.0.1", Wire.rdmaPort), ("10.0.0.1:4000", "10.0.0.1", 4000),
    ("rxe0", "rxe0", Wire.rdmaPort), ("mlx5_0:1", "mlx5_0", 1),
    ("fd00::1", "fd00::1", Wire.rdmaPort),
    ("[fd00::1]", "fd00::1", Wire.rdmaPort), ("[fd00::1]:65535", "fd00::1", 65535),
  ])
  func addresses(text: String, host: String, port: UInt16) throws {
    let name = try #require(LinkName("rdma:" + text))
    guard case .rdma(let address) = name else {
      Issue.record("\(name)")
      return
    }
    #expect(address.host == host)
    #expect(address.port == port)
    #expect(LinkName(name.description) == name)
  }

  @Test(arguments: [
    "", ":4000", "10.0.0.1:", "10.0.0.1:0", "rxe0:65536", "rxe0:+1", "[fd00::1", "[::1]x",
  ])
  func malformed(text: String) {
    #expect(LinkName("rdma:" + text) == nil)
  }
}
