// SPDX-License-Identifier: Apache-2.0
import RMAP
import Testing

/// When a client asks for a page that a program waits for.
@Suite struct FaultTableTests {
  let client = ClientHarness()
  private static let start_ns: UInt64 = 5_000_000_000
  private static let patience_ns: UInt64 = 3_000_000

  /// The slots that are asked for, of one that a program waits for since `start_ns`.
  ///
  /// Of 200 slots, 100 is present, and 101 to 180 are announced, and 20, and 99 down to 50.
  private func asked(_ slot: UInt64, after_ns: UInt64) -> Int {
    var states = SlotStates(slots: 200)
    states.set(100, .present)
    states.announce(first: 101, count: 80)
    states.announce(first: 20, count: 1)
    states.announce(first: 99, count: -50)
    var faults = FaultTable(capacity: 100)
    faults.now_ns = Self.start_ns
    faults.add(slot: slot, thread: 1)
    let asked = faults.ask(&client.session, states: &states, now_ns: Self.start_ns + after_ns)
    #expect(states[slot] == (asked == 1 ? .requested : .announced))
    #expect(faults.unasked == 1 - asked)
    return asked
  }

  @Test func whatIsNotAnnouncedIsAskedFor() {
    #expect(asked(181, after_ns: 0) == 1)
  }

  @Test func anAnnouncedPageIsAwaited() {
    #expect(asked(108, after_ns: 0) == 0)
    #expect(asked(108, after_ns: Self.patience_ns - 1) == 0)
    #expect(asked(108, after_ns: Self.patience_ns) == 1)
  }

  /// All before it would come first.
  @Test(arguments: [109, 180, 91, 50] as [UInt64])
  func theFarEndOfAPromiseIsAskedForAtOnce(slot: UInt64) {
    #expect(asked(slot, after_ns: 0) == 1)
  }

  /// Nothing tells that others come before it.
  @Test func aPageThatIsAnnouncedAloneIsAwaited() {
    #expect(asked(20, after_ns: 0) == 0)
  }
}
