// SPDX-License-Identifier: Apache-2.0

/// Finds where a text stops being JSON5. The decoder that reads the configuration says only that it does.
struct JSON5Fault: Error, CustomStringConvertible {
  /// From 1.
  let line: Int
  /// From 1, in characters.
  let column: Int
  let expected: String

  var description: String { "line \(line), column \(column): expected \(expected)" }

  /// - Returns: nil when all is well.
  static func find(in text: String) -> JSON5Fault? {
    var scanner = Scanner(text)
    do throws(JSON5Fault) {
      try scanner.value()
      try scanner.blank()
      if scanner.next != nil { throw scanner.fault("the end of the file") }
      return nil
    } catch { return error }
  }

  private struct Scanner {
    private let text: [Character]
    private var at = 0

    init(_ text: String) { self.text = Array(text) }

    var next: Character? { at < text.count ? text[at] : nil }

    func fault(_ expected: String) -> JSON5Fault {
      let before = text[..<at]
      let line = before.count(where: \.isNewline) + 1
      let column = before.reversed().prefix { !$0.isNewline }.count + 1
      return JSON5Fault(line: line, column: column, expected: expected)
    }

    /// Passes over white space and comments.
    mutating func blank() throws(JSON5Fault) {
      while let character = next {
        if character.isWhitespace || character == "\u{FEFF}" {
          at += 1
        } else if character == "/", at + 1 < text.count, text[at + 1] == "/" {
          while let character = next, !character.isNewline { at += 1 }
        } else if character == "/", at + 1 < text.count, text[at + 1] == "*" {
          at += 2
          while at + 1 < text.count, text[at] != "*" || text[at + 1] != "/" { at += 1 }
          guard at + 1 < text.count else { throw fault("*/ at the end of the comment") }
          at += 2
        } else {
          return
        }
      }
    }

    mutating func value() throws(JSON5Fault) {
      try blank()
      switch next {
      case "{"?: try members(until: "}", isObject: true)
      case "["?: try members(until: "]", isObject: false)
      case "\""?, "'"?: try string()
      default:
        let word = word()
        let isName = ["true", "false", "null"].contains(word)
        guard isName || Double(word) != nil || Int(word.dropFirst(2), radix: 16) != nil else {
          at -= word.count
          throw fault("a value (a text stands in quotation marks)")
        }
      }
    }

    private mutating func members(until end: Character, isObject: Bool) throws(JSON5Fault) {
      at += 1
      while true {
        try blank()
        if next == end {
          at += 1
          return
        }
        if isObject {
          if next == "\"" || next == "'" {
            try string()
          } else if word().isEmpty {
            throw fault("a key or }")
          }
          try blank()
          guard next == ":" else { throw fault(": behind the key") }
          at += 1
        }
        try value()
        try blank()
        if next == "," {
          at += 1
        } else if next != end {
          throw fault("a comma or \(end)")
        }
      }
    }

    private mutating func string() throws(JSON5Fault) {
      let quote = text[at]
      let start = at
      at += 1
      while let character = next, character != quote {
        guard !character.isNewline else { break }
        at += character == "\\" ? 2 : 1
      }
      guard next == quote else {
        at = start
        throw fault("\(quote) at the end of the text that begins here")
      }
      at += 1
    }

    private mutating func word() -> String {
      let start = at
      while let character = next,
        character.isLetter || character.isNumber || "_$+-.".contains(character)
      {
        at += 1
      }
      return String(text[start..<at])
    }
  }
}
