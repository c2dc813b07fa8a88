// SPDX-License-Identifier: Apache-2.0
import Simulation
import Testing

/// How well pushes use a link, and how little they are in the way of a page that somebody waits for. Queues are
/// in pages, of 82 µs at 50 MB/s, 33 at 125 and 4 at 1000, where one more matters least.
@Suite struct PushPaceTests {
  static let rates_mb_s: [UInt64] = [50, 125, 1000]
  static let roundTrips_us: [UInt64] = [20, 50, 100]
  static let second_ns: UInt64 = 1_000_000_000

  private func link(_ rate_mb_s: UInt64, roundTrip_us: UInt64) -> LinkModel {
    LinkModel(rate_bytes_s: rate_mb_s * 1_000_000, latency_ns: roundTrip_us * 500)
  }

  private func steady(
    _ link: LinkModel, _ client: PacedLink.Client, seed: UInt64
  ) -> PacedLink.Findings {
    var paced = PacedLink(link, client, seed: seed)
    _ = paced.run(Self.second_ns / 10)
    return paced.run(Self.second_ns / 2)
  }

  @Test(arguments: rates_mb_s, roundTrips_us)
  func fillsTheLinkAndKeepsTheQueueShort(rate_mb_s: UInt64, roundTrip_us: UInt64) {
    for seed in UInt64(1)...3 {
      let found = steady(link(rate_mb_s, roundTrip_us: roundTrip_us), .init(), seed: seed)
      #expect(found.utilisation >= 0.95, "seed \(seed)")
      #expect(found.queue_p99 <= (rate_mb_s < 1000 ? 2 : 8), "seed \(seed)")
    }
  }

  /// Round trips that vary by more than a page takes.
  @Test(arguments: rates_mb_s, roundTrips_us)
  func jitterIsNoQueue(rate_mb_s: UInt64, roundTrip_us: UInt64) {
    for seed in UInt64(1)...3 {
      let client = PacedLink.Client(jitter_ns: 20_000)
      let found = steady(link(rate_mb_s, roundTrip_us: roundTrip_us), client, seed: seed)
      #expect(found.utilisation >= (rate_mb_s < 1000 ? 0.95 : 0.8), "seed \(seed)")
      #expect(found.queue_p99 <= (rate_mb_s < 1000 ? 4 : 12), "seed \(seed)")
    }
  }

  /// Some of the link goes unused where acknowledgements bunch for longer than the round trip.
  @Test(arguments: [50, 125] as [UInt64], roundTrips_us)
  func bunchedAcknowledgementsAreNoQueue(rate_mb_s: UInt64, roundTrip_us: UInt64) {
    for bunch_us in [30, 100] as [UInt64] {
      let client = PacedLink.Client(bunch_ns: bunch_us * 1000)
      let found = steady(link(rate_mb_s, roundTrip_us: roundTrip_us), client, seed: 1)
      #expect(found.utilisation >= 0.8, "bunches of \(bunch_us) us")
      #expect(found.queue_p99 <= 5, "bunches of \(bunch_us) us")
    }
  }

  /// Acknowledgements that are late by ten and more shortest round trips, as behind the network of an emulated
  /// guest, where the link itself could carry all.
  @Test(
    arguments: [5, 20, 50] as [UInt64],
    [
      PacedLink.Client(jitter_ns: 10_000_000),
      PacedLink.Client(bunch_ns: 10_000_000),
    ])
  func lateAcknowledgementsLeaveNoLinkIdle(rate_mb_s: UInt64, client: PacedLink.Client) {
    for seed in UInt64(1)...5 {
      var paced = PacedLink(
        link(rate_mb_s, roundTrip_us: 1000), client, seed: seed)
      _ = paced.run(2 * Self.second_ns)
      let found = paced.run(2 * Self.second_ns)
      // No more than a window of 64 pages in each longest round trip.
      let page_ns = PacedLink.page_ns(link(rate_mb_s, roundTrip_us: 0))
      let possible = min(1, Double(64 * page_ns) / 11_000_000)
      #expect(found.utilisation >= 0.5 * possible, "seed \(seed)")
      #expect(found.queue_mean <= 16, "seed \(seed)")
    }
  }

  /// Two pages share a frame where it is not the link that takes time for each.
  @Test(arguments: rates_mb_s + [5, 20])
  func pagesShareFramesWhereTheLinkIsNotWhatLimits(rate_mb_s: UInt64) {
    for seed in UInt64(1)...5 {
      var quick = PacedLink(link(rate_mb_s, roundTrip_us: 50), .init(), seed: seed)
      _ = quick.run(2 * Self.second_ns)
      let paired = quick.run(2 * Self.second_ns).paired
      #expect(rate_mb_s < 250 ? paired < 0.1 : paired == 1, "seed \(seed)")
      var late = PacedLink(
        link(rate_mb_s, roundTrip_us: 1000), .init(jitter_ns: 40_000_000), seed: seed)
      _ = late.run(8 * Self.second_ns)
      #expect(late.run(8 * Self.second_ns).paired > 0.8, "seed \(seed)")
    }
  }

  /// The same where programs ask, whose pages have their place among those on their way: pushes must not be left with
  /// the two that are always allowed.
  @Test(arguments: [1, 2, 4])
  func lateProgramsLeaveNoLinkIdle(programs: Int) {
    let client = PacedLink.Client(jitter_ns: 60_000_000, programs: programs)
    for seed in UInt64(1)...5 {
      var paced = PacedLink(link(5, roundTrip_us: 1000), client, seed: seed)
      _ = paced.run(8 * Self.second_ns)
      let found = paced.run(8 * Self.second_ns)
      #expect(found.utilisation >= 0.5, "seed \(seed)")
    }
  }

  /// A client that has no time for 4 ms in 50 acknowledges nothing meanwhile; the window then ends the
  /// push. As soon as it is back, pages flow as before.
  @Test(arguments: rates_mb_s, roundTrips_us)
  func aStallCostsItsOwnTimeAndNoMore(rate_mb_s: UInt64, roundTrip_us: UInt64) {
    let client = PacedLink.Client(stall_ns: 4_000_000, stallEvery_ns: 50_000_000)
    let found = steady(link(rate_mb_s, roundTrip_us: roundTrip_us), client, seed: 1)
    #expect(found.utilisation >= 0.9 * 46 / 50)
    #expect(found.queue_mean <= 3)
  }

  /// A program that asks for page after page finds less than three others in front of each, and what it leaves
  /// of the link is used.
  @Test(arguments: [50, 125], [30, 70, 80] as [UInt64])
  func fetchesHaveTheirPlaceOnTheLink(rate_mb_s: UInt64, roundTrip_us: UInt64) {
    let found = steady(link(rate_mb_s, roundTrip_us: roundTrip_us), .init(programs: 1), seed: 1)
    #expect(found.utilisation >= 0.99)
    #expect(found.queue_p99 < 3)
  }

  /// Where programs could have the whole link with what they ask for, pushes still go.
  @Test(arguments: [8, 32])
  func pushesAreNotShutOut(programs: Int) {
    let found = steady(link(125, roundTrip_us: 50), .init(programs: programs), seed: 1)
    #expect(found.utilisation >= 0.99)
    #expect(found.pushed * Double(programs) >= 1)
  }

  @Test(arguments: [(125, 50), (50, 125), (125, 1000), (1000, 125)] as [(UInt64, UInt64)])
  func anotherRateIsFoundIn50ms(from_mb_s: UInt64, to_mb_s: UInt64) {
    var paced = PacedLink(
      link(from_mb_s, roundTrip_us: 50), .init(jitter_ns: 10_000), seed: 1)
    _ = paced.run(Self.second_ns / 2)
    paced.change(rate_bytes_s: to_mb_s * 1_000_000)
    _ = paced.run(Self.second_ns / 20)
    let found = paced.run(Self.second_ns / 20)
    #expect(found.utilisation >= 0.95)
    #expect(found.queue_p99 <= (to_mb_s < 1000 ? 3.5 : 8))
  }
}
