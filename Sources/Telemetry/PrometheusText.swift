// SPDX-License-Identifier: Apache-2.0

/// Writes metrics in Prometheus' text exposition format, version 0.0.4.
///
/// Begin a metric with `metric`, then add its samples. Names and labels are the program's own, so a bad one
/// is a bug and stops the program; label values may be any text.
public struct PrometheusText: Sendable {
  /// What `Content-Type` to send with the text.
  public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  /// What a metric's values are.
  public enum Kind: String, Sendable {
    /// Only grows, save for a restart; its name ends in `_total`.
    case counter
    /// Goes up and down.
    case gauge
  }

  /// All that has been written.
  public private(set) var text = ""
  private var name = ""
  private var names = Set<String>()

  public init() {}

  /// Begins a metric; each may be begun once.
  public mutating func metric(_ name: String, _ kind: Kind, _ help: String) {
    precondition(Self.isName(name), "not a metric's name: \(name)")
    precondition(kind != .counter || name.hasSuffix("_total"), "a counter without _total: \(name)")
    precondition(names.insert(name).inserted, "a metric twice: \(name)")
    self.name = name
    text += "# HELP \(name) \(Self.escape(help, quotes: false))\n# TYPE \(name) \(kind.rawValue)\n"
  }

  /// Adds a sample of the metric begun last.
  public mutating func sample(_ value: UInt64, _ labels: KeyValuePairs<String, String> = [:]) {
    write("\(value)", labels)
  }

  /// Adds a sample of the metric begun last.
  public mutating func sample(_ value: Double, _ labels: KeyValuePairs<String, String> = [:]) {
    write(
      value.isNaN ? "NaN" : value.isInfinite ? (value > 0 ? "+Inf" : "-Inf") : "\(value)", labels)
  }

  private mutating func write(_ value: String, _ labels: KeyValuePairs<String, String>) {
    precondition(!name.isEmpty, "a sample before its metric")
    text += name
    if !labels.isEmpty {
      let pairs = labels.map { label, value in
        precondition(Self.isName(label) && !label.contains(":"), "not a label's name: \(label)")
        return "\(label)=\"\(Self.escape(value, quotes: true))\""
      }
      text += "{" + pairs.joined(separator: ",") + "}"
    }
    text += " \(value)\n"
  }

  private static func isName(_ text: String) -> Bool {
    let isStart = { (byte: UInt8) in
      byte == UInt8(ascii: "_") || byte == UInt8(ascii: ":")
        || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }
    let isDigit = { (byte: UInt8) in (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
    guard let first = text.utf8.first, isStart(first) else { return false }
    return text.utf8.allSatisfy { isStart($0) || isDigit($0) }
  }

  private static func escape(_ text: String, quotes: Bool) -> String {
    var escaped = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": escaped += "\\\\"
      case "\n": escaped += "\\n"
      case "\"" where quotes: escaped += "\\\""
      default: escaped.unicodeScalars.append(scalar)
      }
    }
    return escaped
  }
}
