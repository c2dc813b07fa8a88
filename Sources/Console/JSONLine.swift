// SPDX-License-Identifier: Apache-2.0

/// One JSON object on one line, its fields in the order in which they were added; `"schema":1`
/// is always first.
public struct JSONLine: Sendable {
  private var text = #"{"schema":1"#

  /// An object with the schema number alone.
  public init() {}

  /// Adds a text.
  public mutating func add(_ key: String, _ value: String) {
    begin(key)
    Self.quote(value, into: &text)
  }

  /// Adds a whole number.
  public mutating func add(_ key: String, _ value: some FixedWidthInteger) {
    begin(key)
    text += String(value)
  }

  /// Adds true or false.
  public mutating func add(_ key: String, _ value: Bool) {
    begin(key)
    text += value ? "true" : "false"
  }

  /// Adds a number with `places` decimals; what is not finite becomes `null`.
  public mutating func add(_ key: String, _ value: Double, places: Int) {
    begin(key)
    text += value.isFinite ? decimal(value, places: places) : "null"
  }

  /// Adds `null`.
  public mutating func addNull(_ key: String) {
    begin(key)
    text += "null"
  }

  /// The object, without a newline at its end.
  public var line: String { text + "}" }

  private mutating func begin(_ key: String) {
    text += ","
    Self.quote(key, into: &text)
    text += ":"
  }

  private static func quote(_ value: String, into text: inout String) {
    text += "\""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\t": text += "\\t"
      case "\r": text += "\\r"
      case _ where scalar.value < 0x20 || scalar.value == 0x7f:
        let hex = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - hex.utf8.count) + hex
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}
