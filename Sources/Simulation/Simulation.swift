// SPDX-License-Identifier: Apache-2.0
import Prepaging
import RMAP

/// Guests that have moved, and the server that still has their pages, joined by a modelled network.
///
/// Both sides are the ones that run in earnest: `ServerCore` with `RegionTransfer` and the prepaging
/// strategies, `ClientSession` with the client's rules for asking. Modelled are the network, the pages'
/// contents, and the programs with the processors they run on. Time is a number that jumps from event to
/// event: the same configuration gives the same report, on every machine.
public struct Simulation: ~Copyable {
  /// What to simulate.
  public struct Configuration {
    public var strategy: Strategy
    /// Of each guest's memory, all of which is at the server.
    public var slots: UInt64
    public var link = LinkModel()
    public var machine = MachineModel()
    /// Of what the network does by chance.
    public var seed: UInt64 = 1
    /// Simulated time after which to stop, nil for going on to the end.
    public var limit_ns: UInt64?

    public init(strategy: Strategy, slots: UInt64) {
      self.strategy = strategy
      self.slots = slots
    }
  }

  /// What it came to.
  public struct Report: Sendable, Equatable {
    /// All guests together.
    public var all: GuestReport
    public var guests: [GuestReport]
    /// Simulated time.
    public var elapsed_ns: UInt64
    /// Events: frames that arrived, and times when somebody had something to do.
    public var events: UInt64
    public var touches: UInt64
    /// Pages sent again.
    public var resent: UInt64
    /// Frames lost and dropped on the way to the guests.
    public var lostFrames: UInt64
    /// Why guests went no further.
    public var failures: [String]
  }

  private static let server = MACAddress(value: 0x0200_FFFF_0000)
  private static let start_ns: UInt64 = 1_000_000_000
  private static let tick_ns: UInt64 = 100_000_000
  /// Time between two rounds of the server's loop.
  private static let round_ns: UInt64 = 1_000

  private let configuration: Configuration
  private let guestCount: Int
  private let guests: UnsafeMutablePointer<Guest>
  private var dues: DueHeap
  private var core: ServerCore<SimulatedStore>
  private var down: SimulatedLink
  private var up: SimulatedLink
  private var now_ns = Simulation.start_ns
  private var push_ns = UInt64.max
  private var tick_ns = Simulation.start_ns + Simulation.tick_ns
  private var unfinished: Int
  private var isDone: [Bool]
  private var events: UInt64 = 0

  /// - Parameter programs: of each guest, 1 to 4,096.
  public init(_ configuration: Configuration, programs: [Program]) {
    precondition((1...4096).contains(programs.count))
    precondition(configuration.slots > 0)
    self.configuration = configuration
    guestCount = programs.count
    guests = .allocate(capacity: guestCount)
    dues = DueHeap(capacity: guestCount)
    for (index, program) in programs.enumerated() {
      (guests + index).initialize(
        to: Guest(
          index, program: program, strategy: configuration.strategy, slots: configuration.slots,
          machine: configuration.machine, server: Self.server, mtu: configuration.link.mtu))
      dues.set(index, due_ns: now_ns)
    }
    core = ServerCore(
      store: SimulatedStore(guests: guestCount, slots: configuration.slots),
      limits: ServerLimits(
        maxSessions: guestCount, mtu: configuration.link.mtu, queueDepth: 64,
        ringFrames: max(4096, guestCount * 8)), seed: configuration.seed)
    down = SimulatedLink(configuration.link, seed: configuration.seed &* 2)
    up = SimulatedLink(configuration.link, seed: configuration.seed &* 2 &+ 1)
    down.source = Self.server
    unfinished = guestCount
    isDone = Array(repeating: false, count: guestCount)
  }

  deinit {
    guests.deinitialize(count: guestCount)
    guests.deallocate()
  }

  /// Runs until all guests are done, or to the limit.
  public mutating func run() -> Report {
    let end_ns = configuration.limit_ns.map { Self.start_ns + $0 } ?? .max
    while unfinished > 0 {
      let next_ns = min(min(down.next_ns, up.next_ns), min(dues.first_ns, min(push_ns, tick_ns)))
      guard next_ns < end_ns else {
        now_ns = end_ns
        break
      }
      now_ns = max(now_ns, next_ns)
      events += 1
      if down.next_ns <= now_ns {
        guard let frame = down.removeFirst() else { continue }
        let guest = SimulatedStore.guest(at: frame.to)
        guests[guest].receive(frame, now_ns: now_ns)
        turn(guest)
      } else if up.next_ns <= now_ns {
        guard let frame = up.removeFirst() else { continue }
        down.isBulk = !core.mayOvertake(now_ns: now_ns)
        core.receive(
          frame: frame.bytes, from: frame.from, toGroup: false, now_ns: now_ns, sink: &down)
        serve()
      } else if dues.first_ns <= now_ns, let guest = dues.first {
        turn(guest)
      } else if push_ns <= now_ns {
        serve()
      } else {
        core.tick(now_ns: now_ns, ringOverflowed: false)
        tick_ns = now_ns + Self.tick_ns
      }
    }
    return report()
  }

  private mutating func turn(_ guest: Int) {
    let due_ns = guests[guest].turn(now_ns: now_ns, link: &up)
    // What is due already takes another round, and time goes on meanwhile.
    dues.set(guest, due_ns: max(due_ns, now_ns + 1))
    if !isDone[guest], guests[guest].isDone || guests[guest].failure != nil {
      isDone[guest] = true
      unfinished -= 1
    }
  }

  private mutating func serve() {
    down.isBulk = true
    let due_ns = core.push(now_ns: now_ns, sink: &down)
    push_ns = due_ns == .max ? .max : max(due_ns, now_ns + Self.round_ns)
    down.flush(now_ns: now_ns)
  }

  private func report() -> Report {
    let reports = (0..<guestCount).map { guests[$0].report }
    var all = GuestReport()
    for report in reports { all.add(report) }
    return Report(
      all: all, guests: reports, elapsed_ns: now_ns - Self.start_ns, events: events,
      touches: (0..<guestCount).reduce(0) { $0 + guests[$1].touches },
      resent: core.store.resent, lostFrames: down.counters.lost + down.counters.overflowed,
      failures: (0..<guestCount).compactMap { index in
        guests[index].failure.map { "guest \(index): \($0)" }
      })
  }
}

extension Simulation {
  /// The network faults of a program whose first touches are known, as `memx-bench postcopy` would count them:
  /// what a real run over the same link is held against.
  ///
  /// - Parameters:
  ///   - firstTouches: slots in the order of their first touches.
  ///   - compute_ns: the program's own time between two first touches, on average.
  ///   - order: the LRU order that it gave.
  public static func networkFaults(
    firstTouches: [UInt64], slots: UInt64, compute_ns: UInt64, strategy: Strategy,
    link: LinkModel, order: [Extent] = [], seed: UInt64 = 1
  ) -> UInt64 {
    var configuration = Configuration(strategy: strategy, slots: slots)
    configuration.link = link
    configuration.seed = seed
    let program = Program(slots: firstTouches, compute_ns: compute_ns, order: order)
    var simulation = Simulation(configuration, programs: [program])
    return simulation.run().all.networkFaults
  }

  /// How long a program takes when every page is there.
  public static func undisturbed_ns(
    _ program: Program, on model: MachineModel, slots: UInt64, limit_ns: UInt64 = .max
  ) -> UInt64? {
    var states = SlotStates(slots: slots)
    states.set(0..<slots, .present)
    var faults = FaultTable()
    var machine = Machine(program, model, slots: slots)
    machine.start(now_ns: 0)
    while machine.finished_ns == nil, machine.due_ns < limit_ns {
      machine.run(now_ns: machine.due_ns, states: &states, faults: &faults)
    }
    return machine.finished_ns
  }
}
