// SPDX-License-Identifier: Apache-2.0
import Foundation
import RMAP
import Testing

/// docs/PROTOCOL.md, as far as tests read it.
struct ProtocolDocument {
  /// A block of the examples: one message.
  struct Example: CustomTestStringConvertible {
    var title = ""
    /// What the document says that the fields are.
    var expectations: [String: String] = [:]
    var bytes: [UInt8] = []
    var testDescription: String { title }
  }

  private let lines: [Substring]

  init() throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let text = try String(contentsOf: root.appending(path: "docs/PROTOCOL.md"), encoding: .utf8)
    lines = text.split(separator: "\n", omittingEmptySubsequences: false)
  }

  /// The rows of every table: their cells, without the head.
  var rows: [[String]] {
    lines.filter { $0.hasPrefix("|") && !$0.hasPrefix("|---") }.map { line in
      line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
    }
  }

  /// The examples, in order.
  func examples() throws -> [Example] {
    var found: [Example] = []
    var current: Example?
    for line in lines {
      if line == "```rmap" {
        current = Example()
      } else if line.hasPrefix("```"), let example = current {
        found.append(example)
        current = nil
      } else if current != nil {
        try Self.read(line, into: &current!)
      }
    }
    return found
  }

  private static func read(_ line: Substring, into example: inout Example) throws {
    if line.hasPrefix("# ") {
      example.title = String(line.dropFirst(2))
    } else if line.hasPrefix("expect: ") {
      for word in line.dropFirst(8).split(separator: " ") {
        let pair = word.split(separator: "=")
        guard pair.count == 2, example.expectations[String(pair[0])] == nil else {
          throw Malformed(line: String(line))
        }
        example.expectations[String(pair[0])] = String(pair[1])
      }
    } else if line.hasPrefix("pattern: ") {
      let numbers = line.dropFirst(9).split(separator: " ").compactMap { Int($0) }
      guard numbers.count == 2 else { throw Malformed(line: String(line)) }
      example.bytes += (0..<numbers[1]).map { UInt8((numbers[0] + $0) % 251) }
    } else {
      for digits in line.prefix(while: { $0 != "#" }).split(separator: " ") {
        guard digits.count == 2, let byte = UInt8(digits, radix: 16) else {
          throw Malformed(line: String(line))
        }
        example.bytes.append(byte)
      }
    }
  }

  /// A line in an example that means nothing.
  struct Malformed: Error {
    var line: String
  }
}
