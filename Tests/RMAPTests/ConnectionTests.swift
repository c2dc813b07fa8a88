// SPDX-License-Identifier: Apache-2.0
import CRMAP
import RMAP
import Testing

/// What connections of RDMA devices add to the protocol: PROTOCOL.md section 10.
@Suite struct ConnectionTests {
  private let a = MACAddress.client(1)
  private let b = MACAddress.client(2)

  private func hello(_ raw: rmap_hello, bytes: Int = Int(RMAP_HELLO_BYTES)) -> Result<
    Hello, Refusal
  > {
    withUnsafeBytes(of: raw) { whole in
      do throws(Refusal) {
        return .success(try Hello(UnsafeRawBufferPointer(rebasing: whole[..<bytes])))
      } catch { return .failure(error) }
    }
  }

  private func status(_ result: Result<Hello, Refusal>) -> Status {
    switch result {
    case .success: .ok
    case .failure(let refusal): refusal.status
    }
  }

  @Test func helloSaysWhatItCarries() throws {
    let said = Hello(frameBytes: 9000, receives: 104)
    #expect(try hello(said.raw).get() == said)
    let refusal = Hello(frameBytes: 0, receives: 0, status: .tooMany)
    #expect(try hello(refusal.raw).get().status == .tooMany)
  }

  @Test func helloIsChecked() {
    var raw = Hello(frameBytes: 9000, receives: 104).raw
    #expect(status(hello(raw, bytes: 15)) == .badMessage)
    #expect(status(hello(raw, bytes: 0)) == .badMessage)
    raw.version = 2
    #expect(status(hello(raw)) == .badVersion)
    raw.magic = raw.magic &+ 1
    #expect(status(hello(raw)) == .badMessage)
    #expect(status(hello(Hello(frameBytes: 4135, receives: 1).raw)) == .badMessage)
    #expect(status(hello(Hello(frameBytes: 9000, receives: 0).raw)) == .badMessage)
  }

  @Test func aSessionEndsWithItsConnection() throws {
    let server = ServerHarness([.init("swap", slots: 100), .init("other", slots: 100)])
    let session = try server.session(from: a)
    _ = try server.session("other", from: b)
    let ended = server.core.endedSessions
    server.core.disconnected(a, reason: "the cable is out")
    #expect(server.store.disconnectReasons == ["the cable is out"])
    let now = server.core.endedSessions
    #expect(now == ended + 1)
    let (first, second) = (server.core.hasSession(a), server.core.hasSession(b))
    #expect(!first && second)
    let counted = server.core.counters.sessionsDisconnected
    #expect(counted == 1)
    let answer = server.send(server.read(slot: 1, session: session, generation: 1), from: a)
    #expect(answer.first?.header.statusCode == .badSession)
    // Nobody has to wait for the session timeout.
    #expect(server.attach(from: b, id: 7)?.header.statusCode == .ok)
    server.finish()
  }

  @Test func aScatteredRegionHasNoWindow() throws {
    let server = ServerHarness()
    let session = try server.session(from: a)
    let ask = Header(opcode: Opcode.window.rawValue, session: session, tag: 0, generation: 1)
    for _ in 0..<2 {
      let answer = try #require(server.send(message(ask), from: a).first)
      #expect(answer.header.statusCode == .noWindow)
      #expect(answer.payload.isEmpty)
    }
    let odd = Header(opcode: Opcode.window.rawValue, session: session, tag: 1, generation: 1)
    let answer = server.send(message(odd, payload: [1]), from: a).first
    #expect(answer?.header.statusCode == .badMessage)
    server.finish()
  }
}
