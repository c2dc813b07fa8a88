// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import Lab

/// What QEMU and a moved guest say, and the figures made of it; nothing is booted.
@Suite("QEMU as a peer")
struct PostCopyPeerTests {
  /// Answers of QEMU 7.2 after a move with postcopy-preempt, the source's downtime as wrong as it was.
  static let sent = """
    {"return": {"expected-downtime": 300, "status": "completed", "setup-time": 1, \
    "downtime": 1683875, "total-time": 949, "ram": {"total": 134750208, "postcopy-requests": 318, \
    "dirty-sync-count": 2, "multifd-bytes": 0, "pages-per-second": 35371, "downtime-bytes": 0, \
    "page-size": 4096, "remaining": 0, "postcopy-bytes": 117320274, "mbps": 987.4118565410844, \
    "transferred": 117320274, "precopy-bytes": 12, "duplicate": 4321, "normal-bytes": 117051392, \
    "normal": 28577}}, "id": 7}
    """
  static let received = """
    {"return": {"postcopy-blocktime": 839, "status": "completed", \
    "postcopy-vcpu-blocktime": [800, 39]}, "id": 8}
    """
  static let pass = "ran touches=16384 run_us=999665 stalls=243 stalled_us=426967 longest_us=27239"

  static func status(_ line: String) throws -> MigrationStatus {
    try #require(QMPMessage(line)).returned(MigrationStatus.self)
  }

  static func figures(downtime_us: Int64 = 5250) throws -> PostCopyFigures {
    try PostCopyFigures(
      source: status(sent), destination: status(received), downtime_us: downtime_us,
      pass: TouchReport(pass), finished_ms: 1200)
  }

  static func line(_ figures: PostCopyFigures, rate_mb_s: Int = 125) -> PostCopyBenchmark.Line {
    PostCopyBenchmark.Line(
      system: .preempt, pattern: .stride, rate_mb_s: rate_mb_s, memory_mib: 64, step_us: 20,
      accelerator: .tcg, runs: 3, figures: figures)
  }

  @Test("lines of the control socket are told apart")
  func messages() throws {
    let greeting = try #require(
      QMPMessage(
        #"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}, "capabilities": []}}"#
      ))
    #expect(greeting.kind == .greeting)
    let event = try #require(
      QMPMessage(
        #"{"timestamp": {"seconds": 1795271735, "microseconds": 679809}, "event": "RESUME"}"#))
    #expect(event.kind == .event("RESUME"))
    #expect(event.time_us == 1_795_271_735_679_809)
    #expect(try #require(QMPMessage(Self.sent)).kind == .answer(7))
    for line in ["", "QEMU 7.2", "{", "[]", #"{"id": "a text"}"#, #"{"return": {}}"#] {
      #expect(QMPMessage(line) == nil, "\(line)")
    }
  }

  @Test("a refused command and an answer of another form are errors that say so")
  func refusals() throws {
    let refused = try #require(
      QMPMessage(
        #"{"id": 3, "error": {"class": "GenericError", "desc": "Postcopy is not supported"}}"#)
    )
    #expect { try refused.returned(QMP.Nothing.self) } throws: {
      "\($0)".contains("Postcopy is not supported")
    }
    let other = try #require(QMPMessage(#"{"id": 3, "return": {"status": 5}}"#))
    #expect { try other.returned(MigrationStatus.self) } throws: {
      "\($0)".contains(#"{"status": 5}"#)
    }
    #expect(try Self.status(#"{"id": 3, "return": {}}"#).status == nil)
  }

  @Test("figures are what QEMU, the guest and the events say")
  func values() throws {
    let figures = try Self.figures()
    let expected: [PostCopyFigures.Figure: Double] = [
      .network_faults: 318, .blocked_ms: 839, .stalls: 243, .stalled_ms: 426.967,
      .longest_stall_ms: 27.239, .run_ms: 999.665, .finished_ms: 1200, .downtime_ms: 5.25,
      .total_ms: 949, .pages: 28577, .zero_pages: 4321, .precopy_bytes: 12,
    ]
    for figure in PostCopyFigures.Figure.allCases {
      #expect(figures[figure] == expected[figure], "\(figure)")
    }
  }

  @Test("a side that does not say what it measured is an error, not a zero")
  func missing() throws {
    let empty = try Self.status(#"{"id": 1, "return": {"status": "completed"}}"#)
    let report = try TouchReport(Self.pass)
    #expect {
      try PostCopyFigures(
        source: empty, destination: Self.status(Self.received), downtime_us: 1, pass: report,
        finished_ms: 1)
    } throws: { "\($0)".contains("source") }
    #expect {
      try PostCopyFigures(
        source: Self.status(Self.sent), destination: empty, downtime_us: 1, pass: report,
        finished_ms: 1)
    } throws: { "\($0)".contains("postcopy-blocktime") }
  }

  @Test(
    "what is no report of a run is an error that shows it",
    arguments: [
      "", "filled", "wrong page=17", "failed: no memory for the area", "ran touches=1 run_us=2",
      "ran touches=x run_us=1 stalls=1 stalled_us=1 longest_us=1",
    ])
  func badReport(line: String) {
    #expect { try TouchReport(line) } throws: { "\($0)".contains("‘\(line)’") }
  }

  @Test("each figure's median is its own")
  func medians() throws {
    let runs = try [9000, 1000, 2000].map { try Self.figures(downtime_us: $0) }
    let median = PostCopyFigures(medianOf: runs)
    #expect(median[.downtime_ms] == 2)
    #expect(median[.network_faults] == 318)
    #expect(PostCopyFigures(medianOf: Array(runs.prefix(2)))[.downtime_ms] == 5)
  }

  @Test("a line is one JSON object with every figure")
  func json() throws {
    let text = Self.line(try Self.figures()).json
    #expect(!text.contains("\n"))
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    #expect(object["schema"] as? Int == 1)
    #expect(object["bench"] as? String == "qemu-postcopy")
    #expect(object["system"] as? String == "qemu-postcopy-preempt")
    #expect(object["pattern"] as? String == "stride")
    #expect(object["rate_mb_s"] as? Int == 125)
    #expect(object["memory_mib"] as? Int == 64)
    #expect(object["verified"] as? Bool == true)
    #expect(object["network_faults"] as? Int == 318)
    for figure in PostCopyFigures.Figure.allCases {
      #expect(object[figure.rawValue] is NSNumber, "\(figure)")
    }
  }

  @Test("the table has a line each, and what is to be known below")
  func table() throws {
    let figures = try Self.figures()
    let text = PostCopyBenchmark.table([
      Self.line(figures), Self.line(figures, rate_mb_s: 0),
    ])
    let rows = text.split(separator: "\n").map { $0.split(whereSeparator: \.isWhitespace) }
    #expect(rows[0].prefix(3) == ["system", "pattern", "rate"])
    #expect(rows[1].prefix(6) == ["qemu-postcopy-preempt", "stride", "125", "MB/s", "318", "839"])
    #expect(rows[2].prefix(6) == ["qemu-postcopy-preempt", "stride", "no", "limit", "318", "839"])
    for caveat in PostCopyBenchmark.caveats { #expect(text.contains("- \(caveat)")) }
  }
}
