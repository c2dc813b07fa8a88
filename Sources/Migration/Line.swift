// SPDX-License-Identifier: Apache-2.0

/// A line of what source and target say to each other: a word, and words of the form key=value; a text goes
/// last, behind `text=`, and may have blanks.
struct Line: Equatable {
  /// Of what they say, and of the image that goes between.
  static let version = 3

  let word: String
  private(set) var values: [String: String] = [:]

  init(_ word: String, _ values: [String: String] = [:]) {
    self.word = word
    self.values = values
  }

  /// - Returns: nil when the line has another form.
  init?(parsing line: String) {
    var rest = line[...]
    var text: String?
    if let at = Self.range(of: " text=", in: rest) {
      text = String(rest[at.upperBound...])
      rest = rest[..<at.lowerBound]
    }
    var words = rest.split(separator: " ", omittingEmptySubsequences: true)
    guard !words.isEmpty, !words[0].contains("=") else { return nil }
    word = String(words.removeFirst())
    for pair in words {
      let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard halves.count == 2, !halves[0].isEmpty else { return nil }
      values[String(halves[0])] = String(halves[1])
    }
    values["text"] = text
  }

  /// The line without a newline; newlines in the text become blanks.
  var text: String {
    var line = word
    for (key, value) in values.sorted(by: { $0.key < $1.key }) where key != "text" {
      line += " \(key)=\(value)"
    }
    if let text = values["text"] { line += " text=\(text)" }
    return String(line.map { $0.isNewline ? " " : $0 })
  }

  /// The value of `key` as a number; 0 when it is none.
  func number(_ key: String) -> UInt64 { values[key].flatMap { UInt64($0) } ?? 0 }

  private static func range(of pattern: String, in text: Substring) -> Range<Substring.Index>? {
    var from = text.startIndex
    while from < text.endIndex {
      if text[from...].hasPrefix(pattern) {
        return from..<text.index(from, offsetBy: pattern.count)
      }
      from = text.index(after: from)
    }
    return nil
  }
}
