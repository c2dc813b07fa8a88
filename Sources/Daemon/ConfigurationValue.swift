// SPDX-License-Identifier: Apache-2.0
import Foundation
import MemoryServer

/// A value of the configuration file, before it is known what it should be.
enum ConfigurationValue: Decodable, Equatable {
  case null
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case list([ConfigurationValue])
  case object([String: ConfigurationValue])

  private struct AnyKey: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  init(from decoder: any Decoder) throws {
    if let object = try? decoder.container(keyedBy: AnyKey.self) {
      var values: [String: ConfigurationValue] = [:]
      for key in object.allKeys {
        values[key.stringValue] = try object.decode(ConfigurationValue.self, forKey: key)
      }
      self = .object(values)
      return
    }
    if var list = try? decoder.unkeyedContainer() {
      var values: [ConfigurationValue] = []
      while !list.isAtEnd { values.append(try list.decode(ConfigurationValue.self)) }
      self = .list(values)
      return
    }
    let value = try decoder.singleValueContainer()
    if value.decodeNil() {
      self = .null
    } else if let bool = try? value.decode(Bool.self) {
      self = .bool(bool)
    } else if let integer = try? value.decode(Int.self) {
      self = .integer(integer)
    } else if let number = try? value.decode(Double.self) {
      self = .number(number)
    } else {
      self = .string(try value.decode(String.self))
    }
  }

  /// As the file may have it, for an error.
  var text: String {
    switch self {
    case .null: "null"
    case .bool(let bool): "\(bool)"
    case .integer(let integer): "\(integer)"
    case .number(let number): "\(number)"
    case .string(let string): "'\(string)'"
    case .list: "a list"
    case .object: "an object"
    }
  }
}

/// An object of the configuration file, and where it is.
struct ConfigurationObject {
  let file: String
  /// `regions[1].` for what is in the second region.
  let path: String
  private let values: [String: ConfigurationValue]

  /// - Throws: `ConfigurationError` when it is no object, or has a key that is not allowed.
  init(_ value: ConfigurationValue, file: String, path: String = "", allowed: [String]) throws {
    self.file = file
    self.path = path
    guard case .object(let values) = value else {
      let place = path.isEmpty ? "" : "\(path.dropLast()): "
      throw ConfigurationError(
        "\(file): \(place)\(value.text) is not an object; write { key: value }")
    }
    self.values = values
    if let unknown = values.keys.sorted().first(where: { !allowed.contains($0) }) {
      throw ConfigurationError(
        "\(file): the key '\(path)\(unknown)' is unknown; allowed are \(allowed.joined(separator: ", "))"
      )
    }
  }

  func string(_ key: String) throws -> String? {
    switch values[key] {
    case nil: return nil
    case .string(let text)?: return text
    case let other?: throw wrong(key, other, "a string")
    }
  }

  func bool(_ key: String) throws -> Bool? {
    switch values[key] {
    case nil: return nil
    case .bool(let bool)?: return bool
    case let other?: throw wrong(key, other, "true or false")
    }
  }

  func integer(_ key: String, in range: ClosedRange<Int>) throws -> Int? {
    switch values[key] {
    case nil: return nil
    case .integer(let number)? where range.contains(number): return number
    case let other?:
      throw wrong(key, other, "a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
  }

  /// A number of bytes, or a text like "4G".
  func size(_ key: String) throws -> Int? {
    switch values[key] {
    case nil: return nil
    case .integer(let number)? where number > 0: return number
    case let other?:
      if case .string(let text) = other,
        let byteCount = try? RegionConfiguration.size(text, of: key)
      {
        return byteCount
      }
      throw wrong(key, other, "a size: a number of bytes, or a text with K, M, G or T like \"4G\"")
    }
  }

  func choice<T: RawRepresentable & CaseIterable>(_ key: String, of type: T.Type) throws -> T?
  where T.RawValue == String {
    guard let value = values[key] else { return nil }
    if case .string(let text) = value, let choice = T(rawValue: text) { return choice }
    let allowed = T.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
    throw wrong(key, value, "one of \(allowed)")
  }

  func strings(_ key: String) throws -> [String]? {
    guard let list = try list(key, of: "strings") else { return nil }
    return try list.enumerated().map { index, value in
      guard case .string(let text) = value else {
        throw wrong("\(key)[\(index)]", value, "a string")
      }
      return text
    }
  }

  func objects(_ key: String, allowed: [String]) throws -> [ConfigurationObject]? {
    try list(key, of: "objects")?.enumerated().map { index, value in
      try ConfigurationObject(
        value, file: file, path: "\(path)\(key)[\(index)].", allowed: allowed)
    }
  }

  private func list(_ key: String, of what: String) throws -> [ConfigurationValue]? {
    switch values[key] {
    case nil: return nil
    case .list(let list)?: return list
    case let other?: throw wrong(key, other, "a list of \(what)")
    }
  }

  private func wrong(
    _ key: String, _ value: ConfigurationValue, _ allowed: String
  ) -> ConfigurationError {
    ConfigurationError("\(file): \(path)\(key): \(value.text) is not \(allowed)")
  }

  /// Has an error of `body` say where in the file it is.
  func at<T>(_ key: String, _ body: () throws -> T) throws -> T {
    do { return try body() } catch let error as ConfigurationError {
      throw ConfigurationError("\(file): \(path)\(key): \(error)")
    }
  }

  func missing(_ key: String) -> ConfigurationError {
    ConfigurationError("\(file): \(path)\(key) is missing")
  }
}
