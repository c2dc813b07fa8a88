// SPDX-License-Identifier: Apache-2.0
import Prepaging
import RMAP
import Simulation
import Testing
import Workloads

@Suite struct SimulationTests {
  static let slots: UInt64 = 4096

  /// A program that moves in the middle of its work.
  private func program(
    _ kind: MovableKind, processes: Int = 1, slots: UInt64 = slots, step_ns: UInt64 = 5000,
    seed: UInt64 = 1
  ) throws -> Program {
    let share = Int(slots) / processes
    let parts = try (0..<processes).map { process in
      try MovedProgram(
        kind, MovableParameters(pages: share, seed: seed &+ UInt64(process)), stopAt: 0.4,
        isAged: false)
    }
    return Program(
      threads: parts.enumerated().map { process, part in
        {
          var index = 0
          return AnyIterator {
            guard index < part.count else { return nil }
            defer { index += 1 }
            return Touch(
              slot: UInt64(process * share + part[index].page),
              compute_ns: UInt64(part[index].work) * step_ns)
          }
        }
      })
  }

  private func run(
    _ strategy: String, _ programs: [Program], slots: UInt64 = slots, loss: Double = 0,
    mtu: Int = 9000, seed: UInt64 = 1, limit_ns: UInt64? = nil
  ) -> Simulation.Report {
    var configuration = Simulation.Configuration(strategy: Strategy(strategy)!, slots: slots)
    configuration.link.loss = loss
    configuration.link.mtu = mtu
    configuration.seed = seed
    configuration.limit_ns = limit_ns
    var simulation = Simulation(configuration, programs: programs)
    let report = simulation.run()
    #expect(report.failures == [], "\(strategy), seed \(seed)")
    return report
  }

  @Test func sameSeedSameAnswer() throws {
    let programs = try (0..<3).map { try program(.random, seed: UInt64($0)) }
    let first = run("streams", programs, loss: 0.02, seed: 7)
    #expect(run("streams", programs, loss: 0.02, seed: 7) == first)
    #expect(run("streams", programs, loss: 0.02, seed: 8) != first)
  }

  /// Programs that go through memory in an order that only an earlier move can tell, told one after the other.
  @Test(arguments: ["bubble-forward-multi+lru", "replay+lru"])
  func severalProgramsFollowTheirRecordedOrders(strategy: String) {
    let share = Self.slots / 4
    var random = SplitMix64(seed: 3)
    let orders = (0..<4 as Range<UInt64>).map { program in
      Array(program * share..<(program + 1) * share).shuffled(using: &random)
    }
    let threads = orders.map { order -> Program.Thread in
      {
        var rest = order.makeIterator()
        return AnyIterator { rest.next().map { Touch(slot: $0, compute_ns: 150_000) } }
      }
    }
    let told = orders.joined().map { Extent(slot: $0, count: 1) }
    let all = run(strategy, [Program(threads: threads, order: told)]).all
    // Each asks for its first page, and hardly for others.
    #expect(all.networkFaults <= 16, "\(all.networkFaults)")
    #expect(all.touched == Self.slots)
  }

  @Test(arguments: ["push", "bubble-dual", "bubble-forward-multi", "bubble-dual-multi", "streams"])
  func eachPageComesOnce(strategy: String) throws {
    for mtu in [1500, 9000] {
      let report = run(strategy, [try program(.zipf), try program(.random)], mtu: mtu)
      #expect(report.all.pushed + report.all.fetched == 2 * Self.slots)
      #expect(report.all.alreadyThere == 0)
      #expect(report.resent == 0)
    }
  }

  /// Where the server pushes nothing, every page that is touched is asked for, and no other comes.
  @Test func demandOnlyFetchesWhatIsTouched() throws {
    let report = run("demand-only", [try program(.zipf)])
    #expect(report.all.networkFaults == report.all.touched)
    #expect(report.all.fetched == report.all.touched)
    #expect(report.all.pushed == 0 && report.all.minorFaults == 0)
  }

  /// What is lost comes all the same; what comes twice because an answer was late is told apart.
  @Test(arguments: [0.01, 0.1], [1500, 9000])
  func everyPageComesDespiteLoss(loss: Double, mtu: Int) throws {
    for seed in UInt64(1)...3 {
      let report = run("streams", [try program(.random)], loss: loss, mtu: mtu, seed: seed)
      #expect(report.lostFrames > 0, "seed \(seed)")
      let came = report.all.pushed + report.all.fetched - report.all.alreadyThere
      #expect(came == Self.slots, "seed \(seed)")
      #expect(report.all.transfer_ns != nil, "seed \(seed)")
    }
  }

  @Test func strategiesStandInTheExpectedOrder() throws {
    let sequential = [try program(.sequentialRead)]
    func faults(_ strategy: String, _ programs: [Program]) -> UInt64 {
      run(strategy, programs).all.networkFaults
    }
    let none = faults("demand-only", sequential)
    let push = faults("push", sequential)
    let streams = faults("streams", sequential)
    #expect(push < none)
    #expect(streams < push)
    // The first faults are those of a start without knowledge, which weigh less the more there is to do.
    #expect(streams * 100 <= none, "at most 1 %")
    let sorts = [try program(.quicksort, processes: 4)]
    #expect(faults("push", sorts) < faults("demand-only", sorts))
    #expect(faults("streams", sorts) < faults("demand-only", sorts))
  }

  /// An order recorded at an earlier move is followed where faults show no streams.
  @Test(arguments: ["push+lru", "streams+lru"])
  func aRecordedOrderIsReplayed(strategy: String) throws {
    var replayed = try program(.random)
    var seen: Set<UInt64> = []
    for touch in IteratorSequence(replayed.threads[0]()) where seen.insert(touch.slot).inserted {
      replayed.order.append(Extent(slot: touch.slot, count: 1))
    }
    let report = run(strategy, [replayed])
    #expect(report.all.networkFaults <= 2)
    #expect(run("push", [replayed]).all.networkFaults > 500)
  }

  /// The whole link is used, and who waits for a page waits for so many others at most.
  @Test(
    arguments: [
      (50, 1_000, 2), (50, 300_000, 3), (125, 1_000, 3), (125, 300_000, 3),
    ] as [(UInt64, UInt64, UInt64)])
  func pushesFillTheLinkBehindDemands(rate_mb_s: UInt64, step_ns: UInt64, pushes: UInt64) throws {
    var configuration = Simulation.Configuration(strategy: Strategy("push")!, slots: Self.slots * 4)
    configuration.link.rate_bytes_s = rate_mb_s * 1_000_000
    let link = configuration.link
    let program = try program(.random, slots: Self.slots * 4, step_ns: step_ns)
    var simulation = Simulation(configuration, programs: [program])
    let found = simulation.run().all
    let page_ns = link.wire_ns(Wire.pageBytes + Wire.headerBytes)
    let ideal_ns = page_ns * Self.slots * 4
    #expect(try #require(found.transfer_ns) <= ideal_ns * 20 / 19)
    let alone_us = (2 * link.latency_ns + page_ns) / 1000
    #expect(found.demand_us(percent: 99) <= (alone_us + pushes * page_ns / 1000) * 9 / 8 + 1)
  }

  /// Programs that run without a fault take as long as their work.
  @Test func undisturbedProgramsTakeTheirOwnTime() {
    let program = Program(slots: [0, 1, 2, 1], compute_ns: 1000)
    #expect(Simulation.undisturbed_ns(program, on: MachineModel(), slots: 3) == 4000)
    let two = Program(threads: program.threads + program.threads)
    #expect(Simulation.undisturbed_ns(two, on: MachineModel(cores: 2), slots: 3) == 4000)
    #expect(Simulation.undisturbed_ns(two, on: MachineModel(cores: 1), slots: 3) == 8000)
  }

  /// A thousand guests share the server's link, and none is left behind.
  @Test func aThousandGuests() throws {
    let slots: UInt64 = 64
    let programs = try (0..<1000).map {
      try program(.random, slots: slots, step_ns: 1_000_000, seed: UInt64($0))
    }
    let report = run("push", programs, slots: slots)
    #expect(report.guests.count == 1000)
    let times = report.guests.compactMap(\.transfer_ns)
    #expect(times.count == 1000)
    #expect(times.max()! <= times.min()! * 3)
    #expect(report.all.pushed + report.all.fetched - report.all.alreadyThere == 64_000)
  }

  /// 1 TiB: 2^28 slots, of which a program uses some for a while.
  @Test func aGuestOf1TiB() throws {
    let slots: UInt64 = 1 << 28
    let programs = [try program(.zipf, slots: slots)]
    for strategy in ["streams", "bubble-dual-multi"] {
      let report = run(strategy, programs, slots: slots, limit_ns: 500_000_000)
      #expect(report.elapsed_ns == 500_000_000)
      #expect(report.all.networkFaults > 1000)
      #expect(report.all.pushed > 1000)
      #expect(report.all.alreadyThere == 0)
      #expect(report.all.transfer_ns == nil)
    }
  }

  @Test func networkFaultsOfATraceAreThoseOfARun() throws {
    let touches = (0..<Self.slots).map { ($0 * 5 + 17) % Self.slots }
    let link = LinkModel(rate_bytes_s: 50_000_000)
    var configuration = Simulation.Configuration(
      strategy: Strategy("bubble-dual-multi")!, slots: Self.slots)
    configuration.link = link
    var simulation = Simulation(
      configuration, programs: [Program(slots: touches, compute_ns: 10_000)])
    let faults = Simulation.networkFaults(
      firstTouches: touches, slots: Self.slots, compute_ns: 10_000,
      strategy: configuration.strategy, link: link)
    #expect(faults > 0)
    #expect(faults == simulation.run().all.networkFaults)
  }
}
