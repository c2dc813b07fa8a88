// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// Pages and swap over RDMA in two emulated guests: memx one-sided and by messages, memx over Ethernet, perftest as the
/// floor, and the kernel's NVMe over RDMA as the peer. Emulated, so only ratios of one run say something.
public struct RDMABenchmark: Sendable {
  /// How often each is measured; the median counts.
  public var runs = 3
  /// The client's memory, in MiB.
  public var memory_mib = 128
  /// What the swapping workload takes, in MiB.
  public var data_mib = 112

  public init() {}

  /// What one system did in one case.
  public struct Line: Sendable {
    public let name: String
    public let system: String
    /// The median of what `field` names.
    public let value: Double
    let field: String

    /// One JSON object on one line.
    public var json: String {
      Report(
        scenario: "rdma", failures: [],
        values: [("case", .text(name)), ("system", .text(system)), (field, .number(value))]
      ).json(kind: "bench")
    }

    /// A sentence for people.
    public var text: String { "\(name), \(system): \(Report.Value.number(value).text) \(field)" }
  }

  /// What one case was like on all systems, round by round.
  struct Measured {
    let name: String
    let field: String
    private var values: [(system: String, values: [Double])] = []

    init(_ name: String, _ field: String) {
      self.name = name
      self.field = field
    }

    mutating func add(_ system: String, _ value: Double) {
      if let index = values.firstIndex(where: { $0.system == system }) {
        values[index].values.append(value)
      } else {
        values.append((system, [value]))
      }
    }

    var lines: [Line] {
      values.map {
        Line(name: name, system: $0.system, value: SwapBenchmark.median($0.values), field: field)
      }
    }
  }

  private struct Way {
    let system: String
    let words: String
    /// Of a load as perftest's: waiting without sleeping, and what was read is not looked at.
    var loadWords: String { "\(words) --busy-poll-us 1000000 --duration 5" }
  }

  private static let ways = [
    Way(system: "memx", words: "--link rdma:\(RDMAPair.address) --region linear --one-sided"),
    Way(system: "memx-messages", words: "--link rdma:\(RDMAPair.address) --region plain"),
    Way(system: "memx-ethernet", words: "--link eth0 --region plain"),
  ]

  /// Runs it: each round measures one system after the other.
  ///
  /// - Throws: ``LabError`` when something does not run, or a page is wrong.
  public func run(
    _ lab: Lab, on series: KernelSeries, logs: FilePath? = nil
  ) async throws -> [Line] {
    try await Bed.with(lab, series, withRDMA: true, logs: logs) { bed in
      let swap_mib = 2 * data_mib
      return try await RDMAPair.with(
        bed, memory_mib: 3 * swap_mib + 320, clientMemory_mib: memory_mib
      ) { pair in
        let server = try await GuestServer.start(
          "--link rdma:rxe0 --link eth0 --region plain:8M --region linear:8M,layout=linear"
            + " --region swap:\(swap_mib)M,layout=linear --region ethernet:\(swap_mib)M"
            + " --memory \(2 * swap_mib + 16)M --ring-frames 256", in: pair.server)
        let target = try await NVMeTarget.start(pair, size_mib: swap_mib)
        var pages = Pages()
        var swap = Measured("swap quicksort", "time_s")
        for round in 1...runs {
          bed.progress.note("round \(round) of \(runs): pages")
          try await pages.measure(pair, server)
          for system in Swap.allCases {
            bed.progress.note("round \(round) of \(runs): swap on \(system.rawValue)")
            let off = try await system.attach(pair, target)
            let outcome = try await pair.client.outcome(
              Workload.bench("quicksort", size_mib: data_mib, processes: 2), in: .work,
              timeout: .seconds(400))
            swap.add(system.rawValue, try Workload.measured(outcome).time_s)
            try await off()
          }
        }
        try await target.stop()
        try await server.stop()
        return pages.lines + swap.lines
      }
    }
  }

  /// Single pages.
  private struct Pages {
    private var latency = Measured("read latency", "p50_us")
    private var bandwidth = Measured("read bandwidth", "pages_s")
    private var pushes = Measured("push bandwidth", "pages_s")
    private var use = Measured("server thread, one-sided reads", "cpu_us_per_page")
    private var idle = Measured("server thread, idle", "cpu_us_per_s")

    var lines: [Line] { latency.lines + bandwidth.lines + pushes.lines + use.lines + idle.lines }

    mutating func measure(_ pair: RDMAPair, _ server: GuestServer) async throws {
      // One run's latency in an emulated guest can be 1.7 times another's.
      for _ in 1...3 { try await measureLatency(pair) }
      let many = try await pair.perftest("ib_read_bw", "-n 10000 --report_gbits")
      bandwidth.add("perftest", try Perftest.pages_s(many, bytes: 4096))
      for way in RDMABenchmark.ways {
        let before = try await server.idleStatus().links[0].cpu_us
        let start = ContinuousClock.now
        let many = try await pair.pages("\(way.loadWords) --queue-depth 128", verify: false)
        bandwidth.add(way.system, many.pages_per_s)
        let cpu_us = Double(try await server.idleStatus().links[0].cpu_us - before)
        switch way.system {
        case "memx": use.add(way.system, cpu_us / Double(many.pages))
        // The thread of the RDMA link has nothing to do meanwhile.
        case "memx-ethernet":
          idle.add("memx", cpu_us / ((ContinuousClock.now - start) / .seconds(1)))
        default: break
        }
        // Pages that the server sends unasked, whichever way the region's can be read.
        if !way.words.contains("--one-sided") {
          let pushed = try await pair.pages("\(way.words) --case push", verify: false)
          pushes.add(way.system == "memx-messages" ? "memx" : way.system, pushed.pages_per_s)
        }
      }
    }

    private mutating func measureLatency(_ pair: RDMAPair) async throws {
      let said = try await pair.perftest("ib_read_lat", "-n 1000")
      latency.add("perftest", try Perftest.typicalLatency_us(said, bytes: 4096))
      for way in RDMABenchmark.ways {
        let pages = try await pair.pages("\(way.loadWords) --queue-depth 1", verify: false)
        latency.add(way.system, pages.p50_us ?? .nan)
      }
    }
  }

  /// What is swapped to.
  private enum Swap: String, CaseIterable {
    case memx
    case memxEthernet = "memx-ethernet"
    case nvme = "nvme-rdma"

    /// - Returns: what ends it.
    func attach(
      _ pair: RDMAPair, _ target: NVMeTarget
    ) async throws -> @Sendable () async throws -> Void {
      switch self {
      case .memx:
        let device = try await MemxDevice.swapOverRDMA(on: pair.client)
        return { try await device.remove() }
      case .memxEthernet:
        let device = try await MemxDevice.swap(on: pair.client, region: "ethernet")
        return { try await device.remove() }
      case .nvme:
        try await target.swap()
        return { try await target.swapOff() }
      }
    }
  }
}

extension RDMAPair {
  /// Runs one of perftest's programs, the server's half in the server's guest.
  ///
  /// - Returns: what the client's half has printed.
  fileprivate func perftest(_ program: String, _ words: String) async throws -> String {
    let command = "\(program) -R -s 4096 -F \(words)"
    async let other = server.run(command, in: .work, timeout: .seconds(180))
    // It listens on port 18515 once it is ready.
    try await server.until("/programs/bin/rdma resource show cm_id | grep -q ':18515 '")
    let said = try await client.run(
      "\(command) \(Self.address)", in: .work, timeout: .seconds(180))
    _ = try await other
    return said
  }
}
