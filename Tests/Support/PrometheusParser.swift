// SPDX-License-Identifier: Apache-2.0

/// Reads Prometheus' text exposition format 0.0.4, and refuses what its definition does not allow.
package enum PrometheusParser {
  /// One metric.
  package struct Metric {
    package var help: String
    package var type: String
    /// Values by labels, `a=x,b=y`.
    package var samples: [String: Double]
  }

  package static func parse(_ text: String) throws -> [String: Metric] {
    guard text.hasSuffix("\n") else { throw TestFailure("the last line has no end") }
    var metrics: [String: Metric] = [:]
    var help: [String: String] = [:]
    var current = ""
    for line in text.dropLast().split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix("# ") {
        let words = line.split(separator: " ", maxSplits: 3).map(String.init)
        guard words.count >= 3 else { throw TestFailure("line: \(line)") }
        if words[1] == "HELP" {
          guard help[words[2]] == nil else { throw TestFailure("HELP twice: \(line)") }
          help[words[2]] = words.count > 3 ? words[3] : ""
        } else {
          guard words[1] == "TYPE", words.count == 4, let text = help[words[2]],
            metrics[words[2]] == nil, ["counter", "gauge"].contains(words[3])
          else { throw TestFailure("line: \(line)") }
          current = words[2]
          metrics[current] = Metric(help: text, type: words[3], samples: [:])
        }
        continue
      }
      let (name, labels, value) = try sample(line)
      guard name == current, metrics[name]!.samples.updateValue(value, forKey: labels) == nil else {
        throw TestFailure("a sample out of place: \(line)")
      }
    }
    return metrics
  }

  private static func sample(
    _ line: Substring
  ) throws -> (name: String, labels: String, value: Double) {
    var rest = line
    let name = rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" || $0 == ":" }
    rest = rest.dropFirst(name.count)
    var labels: [String] = []
    if rest.first == "{" {
      rest.removeFirst()
      while rest.first != "}" {
        let label = rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" }
        rest = rest.dropFirst(label.count)
        guard !label.isEmpty, rest.hasPrefix("=\"") else { throw TestFailure("labels: \(line)") }
        rest = rest.dropFirst(2)
        labels.append("\(label)=\(try quoted(&rest))")
        if rest.first == "," { rest.removeFirst() }
      }
      rest.removeFirst()
    }
    guard rest.first == " ", !name.isEmpty, let value = Double(rest.dropFirst()) else {
      throw TestFailure("value: \(line)")
    }
    return (String(name), labels.joined(separator: ","), value)
  }

  private static func quoted(_ rest: inout Substring) throws -> String {
    var text = ""
    while let character = rest.popFirst() {
      switch character {
      case "\"": return text
      case "\\":
        switch rest.popFirst() {
        case "n": text.append("\n")
        case "\"": text.append("\"")
        case "\\": text.append("\\")
        default: throw TestFailure("an escape that is not allowed")
        }
      default: text.append(character)
      }
    }
    throw TestFailure("a label without an end")
  }
}
