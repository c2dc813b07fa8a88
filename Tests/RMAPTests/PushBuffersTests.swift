// SPDX-License-Identifier: Apache-2.0
import RMAP
import Testing

/// Buffers that a server over RDMA writes pushes to.
@Suite struct PushBuffersTests {
  @Test func aPushHasItsPlaceByItsNumber() {
    let buffers = PushBuffers(address: 0x1000, key: 1)
    #expect(buffers.address(of: 64) == 0x1000)
    #expect(buffers.address(of: 1) == 0x1000 + 4136)
    #expect(buffers.address(of: 63) == 0x1000 + 63 * 4136)
    #expect(buffers.address(of: .max) == buffers.address(of: 63))
    // Wherever a client says that they are: its own device refuses what is not its memory.
    #expect(PushBuffers(address: .max, key: 1).address(of: 1) == 4135)
  }

  /// The link hears of them before the first push; and that there are none any more.
  @Test func eachBeginSaysWhere() throws {
    let server = ServerHarness()
    let session = try server.session(from: .client(1), depth: 16)
    for (index, buffers) in [PushBuffers(address: 0x1000, key: 9), nil].enumerated() {
      let generation = UInt32(2 * index + 1)
      server.send(
        message(
          Header(opcode: Opcode.begin.rawValue, session: session, tag: 0, generation: generation),
          payload: BeginRequest(strategy: "push", buffers: buffers).payload), from: .client(1))
      #expect(server.core.transfers().count == 1)
      #expect(server.pushBuffers[.client(1)] == buffers)
      server.send(
        message(
          Header(opcode: Opcode.end.rawValue, session: session, tag: 0, generation: generation + 1),
          payload: EndRequest().payload), from: .client(1))
    }
    server.finish()
  }
}
