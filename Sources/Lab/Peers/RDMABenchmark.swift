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

  /// What one system did in one case in one round.
  private struct Sample {
    let name: String
    let system: String
    let field: String
    let value: Double
  }

  /// The medians, in the order in which cases and systems first came.
  private static func lines(of samples: [Sample]) -> [Line] {
    var groups: [[Sample]] = []
    for sample in samples {
      let index = groups.firstIndex { $0[0].name == sample.name && $0[0].system == sample.system }
      if let index { groups[index].append(sample) } else { groups.append([sample]) }
    }
    return groups.map { group in
      Line(
        name: group[0].name, system: group[0].system,
        value: SwapBenchmark.median(group.map(\.value)), field: group[0].field)
    }
  }

  private struct Way {
    let system: String
    let words: String
    /// Of a load as perftest's: waiting without sleeping, and what was read is not looked at.
    var loadWords: String { "\(words) --busy-poll-us 1000000 --duration 5" }
    /// How pages are pushed this way, and what that is called: whichever way pages are read, pushes are written.
    var pushes: [(system: String, words: String)] {
      switch system {
      case "memx": []
      case "memx-messages": [("memx", words), (system, "\(words) --sent-pushes")]
      default: [(system, words)]
      }
    }
  }

  private static let ways = [
    Way(system: "memx", words: "--link rdma:\(RDMAPair.address) --region linear --one-sided"),
    Way(system: "memx-messages", words: "--link rdma:\(RDMAPair.address) --region plain"),
    Way(system: "memx-ethernet", words: "--link eth0 --region plain"),
  ]

  /// Runs it: each round measures one system after the other, in guests of its own, and does it again when the emulator
  /// is at fault.
  ///
  /// - Parameter eachRun: told of each figure of a round as it is there; of a round that is done again, too.
  /// - Throws: ``LabError`` when something does not run, or a page is wrong.
  public func run(
    _ lab: Lab, on series: KernelSeries, logs: FilePath? = nil,
    eachRun: @escaping @Sendable (Line) -> Void
  ) async throws -> [Line] {
    var samples: [Sample] = []
    for round in 1...runs {
      samples += try await EmulatorFault.overcoming(lab.progress) {
        try await measure(
          lab, on: series, logs: logs?.appending("round-\(round)"),
          round: "round \(round) of \(runs)", eachRun: eachRun)
      }
    }
    return Self.lines(of: samples)
  }

  private func measure(
    _ lab: Lab, on series: KernelSeries, logs: FilePath?, round: String,
    eachRun: @escaping @Sendable (Line) -> Void
  ) async throws -> [Sample] {
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
        bed.progress.note("\(round): pages")
        var samples = try await Self.pages(pair, server)
        Self.lines(of: samples).forEach(eachRun)
        for system in Swap.allCases {
          bed.progress.note("\(round): swap on \(system.rawValue)")
          let off = try await system.attach(pair, target)
          let outcome = try await pair.client.outcome(
            Workload.bench("quicksort", size_mib: data_mib, processes: 2), in: .work,
            timeout: .seconds(400))
          let sample = Sample(
            name: "swap quicksort", system: system.rawValue, field: "time_s",
            value: try Workload.measured(outcome).time_s)
          Self.lines(of: [sample]).forEach(eachRun)
          samples.append(sample)
          try await off()
        }
        try await target.stop()
        try await server.stop()
        return samples
      }
    }
  }

  /// Single pages.
  private static func pages(_ pair: RDMAPair, _ server: GuestServer) async throws -> [Sample] {
    var samples: [Sample] = []
    // One run's latency in an emulated guest can be 1.7 times another's.
    for _ in 1...3 { samples += try await latencies(pair) }
    func add(_ name: String, _ system: String, _ field: String, _ value: Double) {
      samples.append(Sample(name: name, system: system, field: field, value: value))
    }
    let many = try await pair.perftest("ib_read_bw", "-n 10000 --report_gbits")
    add("read bandwidth", "perftest", "pages_s", try Perftest.pages_s(many, bytes: 4096))
    for way in ways {
      let before = try await server.idleStatus().links[0].cpu_us
      let start = ContinuousClock.now
      let many = try await pair.pages("\(way.loadWords) --queue-depth 128", verify: false)
      add("read bandwidth", way.system, "pages_s", many.pages_per_s)
      let cpu_us = Double(try await server.idleStatus().links[0].cpu_us - before)
      switch way.system {
      case "memx":
        add(
          "server thread, one-sided reads", way.system, "cpu_us_per_page",
          cpu_us / Double(many.pages))
      // The thread of the RDMA link has nothing to do meanwhile.
      case "memx-ethernet":
        add(
          "server thread, idle", "memx", "cpu_us_per_s",
          cpu_us / ((ContinuousClock.now - start) / .seconds(1)))
      default: break
      }
      // Pages that nobody asks for.
      for (system, words) in way.pushes {
        let pushed = try await pair.pages("\(words) --case push", verify: false)
        add("push bandwidth", system, "pages_s", pushed.pages_per_s)
      }
    }
    return samples
  }

  private static func latencies(_ pair: RDMAPair) async throws -> [Sample] {
    func sample(_ system: String, _ value: Double) -> Sample {
      Sample(name: "read latency", system: system, field: "p50_us", value: value)
    }
    let said = try await pair.perftest("ib_read_lat", "-n 1000")
    var samples = [sample("perftest", try Perftest.typicalLatency_us(said, bytes: 4096))]
    for way in ways {
      let pages = try await pair.pages("\(way.loadWords) --queue-depth 1", verify: false)
      samples.append(sample(way.system, pages.p50_us ?? .nan))
    }
    return samples
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
