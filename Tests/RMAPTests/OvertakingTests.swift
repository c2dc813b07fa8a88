// SPDX-License-Identifier: Apache-2.0
import RMAP
import Testing

/// When answers may overtake pushes in the link's queue.
@Suite struct OvertakingTests {
  /// A server whose client has begun a post-copy.
  private struct Bed {
    let server = ServerHarness()
    let session: UInt32
    private var generation: UInt32 = 1

    init() throws {
      session = try server.session(from: .client(1), depth: 16)
      server.send(
        message(
          Header(opcode: Opcode.begin.rawValue, session: session, tag: 0, generation: 1),
          payload: BeginRequest(strategy: "push").payload),
        from: .client(1))
    }

    var mayOvertake: Bool { server.core.mayOvertake(now_ns: server.now_ns) }

    /// Asks for a page on behalf of a thread, `after_ns` from the last time on.
    mutating func ask(_ context: UInt32, after_ns: UInt64 = 100_000) {
      server.now_ns += after_ns
      generation += 1
      server.send(
        message(
          Header(
            opcode: Opcode.read.rawValue, session: session, tag: 1, generation: generation,
            slot: UInt64(generation), fragments: Wire.allFragments, count: context)),
        from: .client(1))
    }
  }

  @Test func oneProgramsMay() throws {
    var bed = try Bed()
    for _ in 0..<50 {
      bed.ask(7)
      #expect(bed.mayOvertake)
    }
    bed.server.finish()
  }

  @Test func thoseOfSeveralMayNot() throws {
    var bed = try Bed()
    bed.ask(7)
    bed.ask(8)
    #expect(!bed.mayOvertake)
    bed.ask(8, after_ns: 9_000_000)
    #expect(!bed.mayOvertake)
    bed.ask(8, after_ns: 2_000_000)
    #expect(bed.mayOvertake)
    // The other has not asked for a while.
    bed.ask(7, after_ns: 11_000_000)
    #expect(bed.mayOvertake)
    bed.server.finish()
  }

  @Test func thoseOfNobodyKnownMayNot() throws {
    var bed = try Bed()
    bed.ask(0)
    #expect(!bed.mayOvertake)
    bed.server.finish()
  }
}
