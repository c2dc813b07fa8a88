// SPDX-License-Identifier: Apache-2.0
import Prepaging
import RMAP
import Simulation
import Workloads

/// The guests and programs of `memx-bench simulate`, made once for all strategies.
struct SimulationBed {
  private let options: Simulate
  private let slots: Int
  private let guests: [GuestPrograms]
  private let machine: MachineModel
  /// How long the slowest guest's programs take with all their pages there; nil when that passes the limit.
  private let undisturbed_ns: UInt64?

  /// A guest's programs, and what strategies are told of them.
  private struct GuestPrograms {
    let all: Program
    var orders: [ToldOrder: [Extent]] = [:]

    func told(_ order: ToldOrder?) -> Program {
      var program = all
      program.order = order.flatMap { orders[$0] } ?? []
      return program
    }
  }

  private var limit_ns: UInt64? { options.untilS.map { UInt64($0 * 1e9) } }

  init(_ options: Simulate) throws {
    self.options = options
    let trace = try options.comparison.trace.map(readTrace)
    let share = Int(options.memory.bytes / UInt64(Wire.pageBytes)) / options.processes
    let isAged = options.comparison.tells(.lru)
    let work_ns = options.stepUs * 1000 / (trace == nil ? 1 : 3000)
    let isShared = [.quicksort, .hash, .chase, .trace].contains(options.comparison.workload)
    var made: [GuestPrograms] = []
    var slots = 0
    for number in 0..<options.guests {
      if isShared, let first = made.first {
        made.append(first)
        continue
      }
      let moved = try (0..<options.processes).map { process in
        try MovedProgram(
          options.comparison.workload,
          MovableParameters(
            pages: share, seed: options.seed &+ UInt64(number * options.processes + process),
            rounds: options.rounds), trace: trace, stopAt: options.stopAt, isAged: isAged)
      }
      slots = moved.reduce(0) { $0 + $1.pages }
      var guest = GuestPrograms(all: Self.program(moved, work_ns: work_ns))
      if isAged { guest.orders[.lru] = Self.lruOrder(moved, pages: slots) }
      if options.comparison.tells(.touched) { guest.orders[.touched] = Self.touches(moved) }
      made.append(guest)
    }
    guests = made
    self.slots = slots
    let machine = MachineModel(cores: options.cores)
    self.machine = machine
    let limit_ns = options.untilS.map { UInt64($0 * 1e9) } ?? .max
    // Guests' programs differ in what they touch, not in how long they take.
    undisturbed_ns = Simulation.undisturbed_ns(
      made[0].all, on: machine, slots: UInt64(slots), limit_ns: limit_ns)
  }

  /// One guest's programs, each in its part of the memory.
  private static func program(_ parts: [MovedProgram], work_ns: Double) -> Program {
    var threads: [Program.Thread] = []
    var first = 0
    for part in parts {
      let start = first
      threads.append {
        var index = 0
        return AnyIterator {
          guard index < part.count else { return nil }
          let use = part[index]
          index += 1
          return Touch(
            slot: UInt64(start + use.page), compute_ns: UInt64(Double(use.work) * work_ns))
        }
      }
      first += part.pages
    }
    return Program(threads: threads)
  }

  /// The pages that each part touches, in its order, one part behind the other.
  private static func touches(_ parts: [MovedProgram]) -> [Extent] {
    var extents: [Extent] = []
    var first = 0
    for part in parts {
      var isKnown = [Bool](repeating: false, count: part.pages)
      for index in 0..<part.count where !isKnown[part[index].page] {
        let page = part[index].page
        isKnown[page] = true
        let slot = UInt64(first + page)
        if let last = extents.last, last.slot + UInt64(last.count) == slot {
          extents[extents.count - 1].count += 1
        } else if extents.count < Wire.maxOrderExtents {
          extents.append(Extent(slot: slot, count: 1))
        }
      }
      first += part.pages
    }
    return extents
  }

  private static func lruOrder(_ parts: [MovedProgram], pages: Int) -> [Extent] {
    let intervals = parts.map(\.intervals.count).max() ?? 0
    var recency = Recency(pages: pages)
    for interval in 0..<intervals {
      var used: [Int] = []
      var first = 0
      for part in parts {
        if interval < part.intervals.count { used += part.intervals[interval].map { first + $0 } }
        first += part.pages
      }
      recency.age(touched: used)
    }
    return recency.youngestFirst.prefix(Wire.maxOrderExtents).map {
      Extent(slot: UInt64($0.first), count: UInt32($0.count))
    }
  }

  func run(_ strategy: Strategy, rate_mb_s: Int) -> SimulateReport {
    var configuration = Simulation.Configuration(strategy: strategy, slots: UInt64(slots))
    configuration.link = LinkModel(
      rate_bytes_s: UInt64(rate_mb_s) * 1_000_000, latency_ns: UInt64(options.latencyUs) * 1000,
      mtu: options.mtu, loss: options.loss / 100)
    configuration.machine = machine
    configuration.seed = options.seed
    configuration.limit_ns = limit_ns
    let order = options.comparison.told(strategy)
    let start = ContinuousClock.now
    var simulation = Simulation(configuration, programs: guests.map { $0.told(order) })
    let found = simulation.run()
    let wall = ContinuousClock.now - start
    let processes = options.processes
    let workload = options.comparison.workload
    let name = workload.rawValue
    return SimulateReport(
      strategy: strategy.description, order: order,
      workload: workload == .quicksort || processes > 1 ? "\(name)-\(processes)" : name,
      rate_mb_s: rate_mb_s, guests: options.guests, slots: slots, found: found,
      undisturbed_ns: undisturbed_ns,
      wall_ms: Double(wall.components.seconds) * 1000 + Double(wall.components.attoseconds) / 1e15)
  }
}
