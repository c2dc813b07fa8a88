// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// Pages over RDMA in two emulated guests: memx one-sided and by messages, memx over Ethernet, and perftest as the floor.
/// Emulated, so only ratios of one run say something.
public struct RDMABenchmark: Sendable {
  /// How often each is measured; the median counts.
  public var runs = 3

  public init() {}

  /// What one system did in one case.
  public struct Line: Sendable {
    public let name: String
    public let system: String
    /// Of a latency microseconds, of a bandwidth pages a second.
    public let value: Double
    fileprivate let field: String

    /// One JSON object on one line.
    public var json: String {
      Report(
        scenario: "rdma", failures: [],
        values: [("case", .text(name)), ("system", .text(system)), (field, .number(value))]
      ).json(kind: "bench")
    }

    /// A sentence for people.
    public var text: String { "\(name), \(system): \(Int(value.rounded())) \(field)" }
  }

  private struct Way {
    let system: String
    let words: String
  }

  private static let ways = [
    Way(system: "memx", words: "--link rdma:\(RDMAPair.address) --region linear --one-sided"),
    Way(system: "memx-messages", words: "--link rdma:\(RDMAPair.address) --region plain"),
    Way(system: "memx-ethernet", words: "--link eth0 --region plain"),
  ]

  /// Runs it: each round measures one system after the other.
  ///
  /// - Throws: ``LabError`` when something does not run.
  public func run(
    _ lab: Lab, on series: KernelSeries, logs: FilePath? = nil
  ) async throws -> [Line] {
    let runs = runs
    return try await Bed.with(lab, series, withModule: false, withRDMA: true, logs: logs) { bed in
      try await RDMAPair.with(bed) { pair in
        let server = try await GuestServer.start(
          "--link rdma:rxe0 --link eth0 --region plain:8M --region linear:8M,layout=linear"
            + " --memory 16M --ring-frames 256", in: pair.server)
        var latency_us: [String: [Double]] = [:]
        var pages_s: [String: [Double]] = [:]
        for round in 1...runs {
          bed.progress.note("round \(round) of \(runs)")
          let one = try await pair.perftest("ib_read_lat", "-n 1000")
          latency_us["perftest", default: []].append(
            try Perftest.typicalLatency_us(one, bytes: 4096))
          let many = try await pair.perftest("ib_read_bw", "-n 10000 --report_gbits")
          pages_s["perftest", default: []].append(try Perftest.pages_s(many, bytes: 4096))
          for way in Self.ways {
            let one = try await pair.pages("\(way.words) --queue-depth 1 --duration 5")
            latency_us[way.system, default: []].append(one.p50_us)
            let many = try await pair.pages("\(way.words) --queue-depth 128 --duration 5")
            pages_s[way.system, default: []].append(many.pages_per_s)
          }
        }
        try await server.stop()
        let systems = Self.ways.map(\.system) + ["perftest"]
        return systems.map {
          Line(
            name: "read latency", system: $0, value: SwapBenchmark.median(latency_us[$0] ?? []),
            field: "p50_us")
        }
          + systems.map {
            Line(
              name: "read bandwidth", system: $0, value: SwapBenchmark.median(pages_s[$0] ?? []),
              field: "pages_s")
          }
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
