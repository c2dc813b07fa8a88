// SPDX-License-Identifier: Apache-2.0
import Daemon
import Foundation
import Logging
import Synchronization
import TestSupport
import Testing

@Suite struct LogTests {
  private final class Lines: Sendable {
    private let lines = Mutex<[String]>([])
    func append(_ line: String) { lines.withLock { $0.append(line) } }
    var all: [String] { lines.withLock { $0 } }
  }

  private func log(
    _ format: LogFormat, isJournal: Bool = false, level: Logger.Level = .info,
    _ body: (Logger) -> Void
  ) -> [String] {
    let lines = Lines()
    let handler = DaemonLogHandler(
      level: level, format: format, isJournal: isJournal, write: lines.append)
    body(Logger(label: "test") { _ in handler })
    return lines.all
  }

  @Test func textHasTimeLevelMessageAndPairs() throws {
    let lines = log(.text) {
      $0.warning("attach refused", metadata: ["region": "a", "reason": "no such \"thing\""])
    }
    let line = try #require(lines.first)
    let pattern = try Regex(
      #"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warning attach refused reason="no such \\"thing\\"" region=a\n$"#
    )
    #expect(line.contains(pattern), "it is: \(line)")
  }

  @Test func jsonIsOneObjectALine() throws {
    let lines = log(.json) {
      $0.error("a \"quoted\"\nline \\ \u{1}", metadata: ["level": "x", "k": "é\t"])
    }
    let line = try #require(lines.first)
    #expect(line.filter { $0 == "\n" }.count == 1)
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: String])
    #expect(object["level"] == "error")
    #expect(object["_level"] == "x")
    #expect(object["message"] == "a \"quoted\"\nline \\ \u{1}")
    #expect(object["k"] == "é\t")
    #expect(object["time"]?.hasSuffix("Z") == true)
  }

  @Test func aLineCannotBeForged() {
    let lines = log(.text) { $0.info("x", metadata: ["a": "b\n2026 critical forged\u{1B}[2J"]) }
    #expect(lines.count == 1)
    #expect(lines[0].hasSuffix("a=\"b\\u{a}2026 critical forged\\u{1b}[2J\"\n"), "\(lines[0])")
  }

  @Test func theJournalGetsPriorities() {
    let lines = log(.text, isJournal: true, level: .trace) { logger in
      for level in Logger.Level.allCases { logger.log(level: level, "m") }
    }
    #expect(
      lines == [
        "<7>trace m\n", "<7>debug m\n", "<6>info m\n", "<5>notice m\n", "<4>warning m\n",
        "<3>error m\n", "<2>critical m\n",
      ])
  }

  @Test func theLevelFilters() {
    #expect(log(.text, level: .error) { $0.warning("m") }.isEmpty)
  }

  @Test func onlyTheJournalsOwnStreamIsTheJournal() {
    #expect(!DaemonLogHandler.standardErrorIsJournal(environment: [:]))
    #expect(!DaemonLogHandler.standardErrorIsJournal(environment: ["JOURNAL_STREAM": "1:1"]))
    var info = stat()
    #expect(fstat(STDERR_FILENO, &info) == 0)
    let stream = "\(info.st_dev):\(info.st_ino)"
    #expect(DaemonLogHandler.standardErrorIsJournal(environment: ["JOURNAL_STREAM": stream]))
  }

  @Test func aReaderThatIsSlowHoldsUpNobody() throws {
    let pipe = Pipe()
    // A pipe holds 64 KiB; what does not fit waits, and beyond 100 lines is left out.
    let writer = LogWriter(descriptor: pipe.fileHandleForWriting.fileDescriptor, capacity: 100)
    let line = String(repeating: "x", count: 1023) + "\n"
    for _ in 0..<10_000 { writer.write(line) }
    // Only now does anybody read, until the writer, which needs the descriptor so long, is done.
    let reader = pipe.fileHandleForReading
    let text = Mutex(Data())
    let end = DispatchSemaphore(value: 0)
    Thread.detachNewThread {
      while case let data = reader.availableData, !data.isEmpty { text.withLock { $0 += data } }
      end.signal()
    }
    writer.flush(timeout_s: 30)
    try pipe.fileHandleForWriting.close()
    end.wait()
    let written = text.withLock { $0 }
    #expect(written.count < 10_000 * 1024)
    #expect(String(decoding: written, as: UTF8.self).contains("warning log lines left out"))
  }
}
