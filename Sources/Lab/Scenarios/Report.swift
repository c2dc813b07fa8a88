// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials

/// What a scenario found.
public struct Report: Sendable {
  /// A value of a report.
  public enum Value: Sendable, Encodable {
    case number(Double)
    case count(Int)
    case text(String)
    case flag(Bool)

    public func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      switch self {
      case .number(let value): try container.encode((value * 1000).rounded() / 1000)
      case .count(let value): try container.encode(value)
      case .text(let value): try container.encode(value)
      case .flag(let value): try container.encode(value)
      }
    }

    /// As a person reads it.
    public var text: String {
      switch self {
      case .number(let value): "\((value * 10).rounded() / 10)"
      case .count(let value): "\(value)"
      case .text(let value): value
      case .flag(let value): value ? "yes" : "no"
      }
    }
  }

  /// The scenario's name.
  public let scenario: String
  /// What was wrong; empty when it passed.
  public let failures: [String]
  /// What was measured, in order.
  public let values: [(name: String, value: Value)]

  /// Whether nothing was wrong.
  public var pass: Bool { failures.isEmpty }

  /// One JSON object on one line.
  ///
  /// The name's first part becomes a field with the rest: `demo/x` is `"demo":"x"`.
  ///
  /// - Parameter kind: the name of the field with the whole name instead.
  public func json(kind given: String? = nil) -> String {
    let parts = scenario.split(separator: "/", maxSplits: 1).map(String.init)
    let isDemo = parts.first == "demo" && parts.count == 2
    let kind = given ?? (isDemo ? "demo" : "scenario")
    let name = given == nil && isDemo ? parts[1] : scenario
    var fields: [(String, any Encodable)] = [
      ("schema", 1), (kind, name),
    ]
    if kind != "bench" { fields.append(("pass", pass)) }
    fields += values.map { ($0.name, $0.value) }
    if !pass { fields.append(("failures", failures)) }
    let encoder = JSONEncoder()
    encoder.outputFormatting = .withoutEscapingSlashes
    let members = fields.map { name, value in
      let encoded = (try? encoder.encode(value)).map { String(decoding: $0, as: UTF8.self) }
      return "\"\(name)\":\(encoded ?? "null")"
    }
    return "{\(members.joined(separator: ","))}"
  }
}

extension Scenario {
  /// Its name and summary as one JSON object on one line.
  public var json: String {
    Report(scenario: name, failures: [], values: [("summary", .text(summary))]).json()
  }
}
