// SPDX-License-Identifier: Apache-2.0
import Foundation
import MemoryServer
import RMAP

/// What a configuration file says; nil is what it leaves open.
package struct ConfigurationFile {
  package var links: [String]?
  package var regions: [RegionConfiguration]?
  package var xen: Bool?
  package var memory: Int?
  package var arena: String?
  package var hugepages: HugePages?
  package var lock: Bool?
  package var http: HTTPAddress?
  package var logLevel: LogLevel?
  package var logFormat: LogFormat?
  package var sessionTimeout_ms: Int?
  package var busyPoll_us: Int?
  package var maxSessions: Int?
  package var ringFrames: Int?

  /// The keys that a file may have.
  package static let keys = [
    "links", "regions", "xen", "memory", "arena", "hugepages", "lock", "http", "log_level",
    "log_format",
    "session_timeout_ms", "busy_poll_us", "max_sessions", "ring_frames",
  ]
  /// The keys that a region may have.
  package static let regionKeys = [
    "name", "size", "quota", "token", "token_file", "clients", "strategy", "push_rate", "layout",
  ]

  /// Reads a file.
  ///
  /// - Throws: `ConfigurationError`, which names the file, the key, and what is allowed.
  package init(path: String) throws {
    let data: Data
    do { data = try Data(contentsOf: URL(fileURLWithPath: path)) } catch {
      let reason = access(path, R_OK) == 0 ? "it is not a file" : String(cString: strerror(errno))
      throw ConfigurationError("cannot read the configuration \(path): \(reason)")
    }
    try self.init(data, file: path)
  }

  /// Reads the text of a file; relative paths in it begin at the file's directory.
  package init(_ data: Data, file: String) throws {
    let decoder = JSONDecoder()
    decoder.allowsJSON5 = true
    let value: ConfigurationValue
    do { value = try decoder.decode(ConfigurationValue.self, from: data) } catch {
      let text = String(decoding: data, as: UTF8.self)
      let reason = JSON5Fault.find(in: text)?.description ?? "\(error)"
      throw ConfigurationError("\(file): is not JSON5: \(reason)")
    }
    let object = try ConfigurationObject(value, file: file, allowed: Self.keys)
    links = try object.strings("links")
    regions = try object.objects("regions", allowed: Self.regionKeys)?.map(Self.region)
    xen = try object.bool("xen")
    memory = try object.size("memory")
    arena = try object.string("arena")
    hugepages = try object.choice("hugepages", of: HugePages.self)
    lock = try object.bool("lock")
    http = try object.string("http").map { text in
      try object.at("http") { try HTTPAddress(parsing: text) }
    }
    logLevel = try object.choice("log_level", of: LogLevel.self)
    logFormat = try object.choice("log_format", of: LogFormat.self)
    sessionTimeout_ms = try object.integer(
      "session_timeout_ms", in: ServerConfiguration.sessionTimeoutRange_ms)
    busyPoll_us = try object.integer("busy_poll_us", in: ServerConfiguration.busyPollRange_us)
    maxSessions = try object.integer("max_sessions", in: ServerConfiguration.maxSessionsRange)
    ringFrames = try object.integer("ring_frames", in: ServerConfiguration.ringFramesRange)
  }

  private static func region(_ object: ConfigurationObject) throws -> RegionConfiguration {
    guard let nameText = try object.string("name") else { throw object.missing("name") }
    let name = try object.at("name") { try RegionConfiguration.name(nameText) }
    guard let byteCount = try object.size("size") else { throw object.missing("size") }
    var region = RegionConfiguration(
      name: name, byteCount: byteCount, quotaBytes: try object.size("quota"))
    if let text = try object.string("token") {
      region.token = try object.at("token") { try RegionConfiguration.token(text, of: name) }
    }
    if let path = try object.string("token_file") {
      try object.at("token_file") {
        guard region.token == nil else {
          throw ConfigurationError("region \(name): has two tokens; one is allowed")
        }
        let base = URL(fileURLWithPath: object.file).deletingLastPathComponent()
        region.token = try RegionConfiguration.token(
          file: URL(fileURLWithPath: path, relativeTo: base).path, of: name)
      }
    }
    region.clients = try (object.strings("clients") ?? []).enumerated().map { index, text in
      try object.at("clients[\(index)]") { try RegionConfiguration.client(text, of: name) }
    }
    if let text = try object.string("strategy") {
      region.strategy = try object.at("strategy") {
        try RegionConfiguration.strategy(text, of: name)
      }
    }
    region.pushRate_bytes_s = try object.size("push_rate")
    if let text = try object.string("layout") {
      region.isLinear = try object.at("layout") {
        try RegionConfiguration.layout(text, of: name)
      }
    }
    try object.at("size") { try region.validate() }
    return region
  }
}
