// SPDX-License-Identifier: Apache-2.0
import Foundation
import Logging

/// Formats log lines and hands them to a writer.
package struct DaemonLogHandler: LogHandler {
  package var metadata: Logger.Metadata = [:]
  package var logLevel: Logger.Level
  package var metadataProvider: Logger.MetadataProvider?

  private let format: LogFormat
  private let isJournal: Bool
  private let write: @Sendable (String) -> Void

  /// - Parameters:
  ///   - level: the least that is logged.
  ///   - format: of a line.
  ///   - isJournal: begin lines with a priority, `<6>` say, and leave the time to the journal.
  ///   - write: takes each line, its line break included.
  package init(
    level: Logger.Level, format: LogFormat, isJournal: Bool,
    write: @escaping @Sendable (String) -> Void
  ) {
    logLevel = level
    self.format = format
    self.isJournal = isJournal
    self.write = write
  }

  package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  package func log(event: LogEvent) {
    let all = metadata.merging(event.metadata ?? [:]) { $1 }
    let pairs = all.sorted { $0.key < $1.key }.map { ($0.key, "\($0.value)") }
    let priority = isJournal ? "<\(Self.priority(event.level))>" : ""
    let line =
      switch format {
      case .text: text(event.level, "\(event.message)", pairs)
      case .json: json(event.level, "\(event.message)", pairs)
      }
    write("\(priority)\(line)\n")
  }

  private func text(
    _ level: Logger.Level, _ message: String, _ pairs: [(String, String)]
  ) -> String {
    var words = isJournal ? [] : [Self.now()]
    words += [level.rawValue, Self.printable(message)]
    words += pairs.map { key, value in
      let needsQuotes = value.isEmpty || value.contains { $0 == " " || $0 == "=" || $0 == "\"" }
      let text = Self.printable(value)
      return "\(key)=\(needsQuotes ? "\"\(text.replacing("\"", with: "\\\""))\"" : text)"
    }
    return words.joined(separator: " ")
  }

  private func json(
    _ level: Logger.Level, _ message: String, _ pairs: [(String, String)]
  ) -> String {
    var fields = isJournal ? [] : [("time", Self.now())]
    fields += [("level", level.rawValue), ("message", message)]
    // A reserved name as a key of its own would make the object ambiguous.
    fields += pairs.map { key, value in
      (["time", "level", "message"].contains(key) ? "_\(key)" : key, value)
    }
    return "{"
      + fields.map { "\(Self.quoted($0.0)):\(Self.quoted($0.1))" }.joined(separator: ",") + "}"
  }

  /// One line's worth: what a client names must not be able to begin another line.
  private static func printable(_ text: String) -> String {
    var printable = ""
    for scalar in text.unicodeScalars {
      if scalar.properties.generalCategory == .control {
        printable += "\\u{\(String(scalar.value, radix: 16))}"
      } else {
        printable.unicodeScalars.append(scalar)
      }
    }
    return printable
  }

  private static func quoted(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": quoted += "\\\""
      case "\\": quoted += "\\\\"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }

  /// Of syslog(3), as the journal reads it.
  private static func priority(_ level: Logger.Level) -> Int {
    switch level {
    case .critical: 2
    case .error: 3
    case .warning: 4
    case .notice: 5
    case .info: 6
    case .debug, .trace: 7
    }
  }

  private static func now() -> String {
    Date.now.formatted(
      Date.ISO8601FormatStyle(includingFractionalSeconds: true))
  }

  /// Is the standard error output the journal's? It is when it is the socket that systemd names.
  package static func standardErrorIsJournal(
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) -> Bool {
    var info = stat()
    guard let stream = environment["JOURNAL_STREAM"], fstat(STDERR_FILENO, &info) == 0 else {
      return false
    }
    return stream == "\(info.st_dev):\(info.st_ino)"
  }
}
