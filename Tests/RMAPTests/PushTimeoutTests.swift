// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import RMAP

/// When a push counts as lost.
@Suite struct PushTimeoutTests {
  private static let ms: UInt64 = 1_000_000

  /// A network that loses nothing, and whose round trip becomes longer than the timeout that was right before.
  @Test func aLongerRoundTripIsLearned() throws {
    var sender = PushSender(BeginRequest(strategy: "push"), session: 1, region: 0, limit_bytes_s: 0)
    var arriving: [(number: UInt32, at_ns: UInt64)] = []
    for step in 0..<4000 {
      let now_ns = UInt64(step + 1) * Self.ms
      // The receiver notices a page that comes twice, and acknowledges what came first.
      while let first = arriving.first, first.at_ns <= now_ns {
        arriving.removeFirst()
        let taken = sender.acknowledged(
          first: first.number + 1, behind: 0, credits: 64, unused: 0, now_ns: now_ns)
        _ = try #require(taken)
      }
      while sender.nextLost(now_ns: now_ns) != nil {}
      guard sender.inFlight < 48 else { continue }
      let number = sender.send(UInt64(step), linkMark: PushPace.Mark(), now_ns: now_ns)
      arriving.append((number, now_ns + (step < 1000 ? 5 : 45) * Self.ms))
    }
    // Those that were on their way when it changed, and hardly any more.
    #expect(sender.report.pushed > 3000)
    #expect(sender.report.retransmitted < 200)
  }
}
