// SPDX-License-Identifier: Apache-2.0
import Console
import Glibc
import Prepaging
import RMAP

/// One region, as the operator wants it.
public struct RegionConfiguration: Sendable {
  public var name: RegionName
  /// Bytes of address space; rounded up to whole pages.
  public var byteCount: Int
  /// The most bytes of pages that the region may hold; its size unless said otherwise.
  public var quotaBytes: Int
  /// What a client must show, if anything.
  public var token: Token?
  /// The clients that may attach; empty for any.
  public var clients: [ClientAddress]
  /// Whether its slots lie one behind the other, so that clients over RDMA can reach them directly.
  public var isLinear = false
  /// Which page goes next in a post-copy whose client does not say.
  public var strategy = RegionConfiguration.defaultStrategy
  /// The most bytes of pages that a post-copy pushes in a second; nil for as many as the network carries.
  public var pushRate_bytes_s: Int?

  /// What pushes best on the whole: docs/BENCHMARKS.md.
  public static let defaultStrategy = Strategy("streams+lru")!

  public init(
    name: RegionName, byteCount: Int, quotaBytes: Int? = nil, token: Token? = nil,
    clients: [ClientAddress] = []
  ) {
    self.name = name
    self.byteCount = byteCount
    self.quotaBytes = quotaBytes ?? byteCount
    self.token = token
    self.clients = clients
  }

  /// Slots of the region.
  public var slots: UInt64 { UInt64((byteCount + Wire.pageBytes - 1) / Wire.pageBytes) }
  /// The quota in pages.
  public var quota: Int { (quotaBytes + Wire.pageBytes - 1) / Wire.pageBytes }

  /// How a region is written on the command line.
  public static let syntax =
    "NAME:SIZE[,quota=SIZE][,token=TEXT|,token_file=PATH][,client=ADDRESS]…[,strategy=NAME][,push_rate=SIZE][,layout=linear]"

  /// Reads `NAME:SIZE[,quota=SIZE][,token=TEXT|,token_file=PATH][,client=ADDRESS]…`.
  ///
  /// - Throws: `ConfigurationError`, which says which word is wrong and what is allowed.
  public init(parsing text: String) throws {
    let words = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    let head = words[0].split(separator: ":", maxSplits: 1).map(String.init)
    guard head.count == 2 else {
      throw ConfigurationError("region '\(words[0])': write \(Self.syntax)")
    }
    let name = try Self.name(head[0])
    self.init(name: name, byteCount: try Self.size(head[1], of: "region \(name)"))
    for word in words.dropFirst() {
      let pair = word.split(separator: "=", maxSplits: 1).map(String.init)
      guard pair.count == 2 else {
        throw ConfigurationError(
          "region \(name): '\(word)' is not quota=SIZE, token=TEXT, token_file=PATH, client=ADDRESS,"
            + " strategy=NAME, push_rate=SIZE or layout=linear")
      }
      switch pair[0] {
      case "quota": quotaBytes = try Self.size(pair[1], of: "quota of region \(name)")
      case "token", "token_file":
        guard token == nil else {
          throw ConfigurationError("region \(name): has two tokens; one is allowed")
        }
        token =
          pair[0] == "token"
          ? try Self.token(pair[1], of: name) : try Self.token(file: pair[1], of: name)
      case "client": clients.append(try Self.client(pair[1], of: name))
      case "strategy": strategy = try Self.strategy(pair[1], of: name)
      case "layout": isLinear = try Self.layout(pair[1], of: name)
      case "push_rate": pushRate_bytes_s = try Self.size(pair[1], of: "push rate of region \(name)")
      default:
        throw ConfigurationError(
          "region \(name): '\(pair[0])' is unknown; quota, token, token_file, client, strategy,"
            + " push_rate and layout are allowed"
        )
      }
    }
    try validate()
  }

  /// Checks what only the whole can tell.
  public func validate() throws {
    guard byteCount > 0, byteCount <= Int(Wire.maxSlots) * Wire.pageBytes else {
      throw ConfigurationError(
        "region \(name): its size is \(byteCount) bytes; 1 to \(Int(Wire.maxSlots) * Wire.pageBytes) (16T)"
          + " are allowed")
    }
    guard !isLinear || quota == Int(slots) else {
      throw ConfigurationError(
        "region \(name): has a quota and layout=linear, which sets all of its memory aside; leave one away"
      )
    }
    guard quotaBytes > 0, quota <= Int(slots) else {
      throw ConfigurationError(
        "region \(name): its quota is \(quotaBytes) bytes; 1 to its size, \(byteCount), are allowed"
      )
    }
  }

  /// Reads a region's name.
  public static func name(_ text: String) throws -> RegionName {
    guard let name = RegionName(text) else {
      throw ConfigurationError(
        "region name '\(text)': 1 to \(Wire.regionNameBytes - 1) of A-Z a-z 0-9 . _ - are allowed")
    }
    return name
  }

  /// Reads a strategy's name.
  public static func strategy(_ text: String, of region: RegionName) throws -> Strategy {
    guard let strategy = Strategy(text) else {
      throw ConfigurationError(
        "strategy of region \(region): '\(text)' is unknown; \(Strategy.help)")
    }
    return strategy
  }

  /// Reads `linear` or `scattered`.
  public static func layout(_ text: String, of region: RegionName) throws -> Bool {
    switch text {
    case "linear": return true
    case "scattered": return false
    default:
      throw ConfigurationError(
        "layout of region \(region): '\(text)' is unknown; linear and scattered are allowed")
    }
  }

  /// Reads a size; `what` is what has it.
  public static func size(_ text: String, of what: String) throws -> Int {
    do {
      let size = try ByteSize(parsing: text)
      guard size.bytes > 0, let byteCount = Int(exactly: size.bytes) else {
        throw ConfigurationError("\(what): '\(text)' is out of range; 1 up to 8388607T are allowed")
      }
      return byteCount
    } catch let error as ByteSize.Invalid {
      throw ConfigurationError("\(what): \(error)")
    }
  }

  /// Reads a token; the text is not in the error.
  public static func token(_ text: String, of region: RegionName) throws -> Token {
    guard !text.isEmpty, !text.utf8.contains(0), let token = Token(text) else {
      throw ConfigurationError(
        "region \(region): its token has \(text.utf8.count) bytes; 1 to \(Wire.tokenBytes) are allowed,"
          + " none of them NUL")
    }
    return token
  }

  /// Reads a token from a file, which users at large must not be able to read.
  ///
  /// - Parameters:
  ///   - path: of the file; a line break at its end is not part of the token.
  ///   - region: whose token it is.
  public static func token(file path: String, of region: RegionName) throws -> Token {
    guard let file = fopen(path, "re") else {
      throw ConfigurationError(
        "region \(region): cannot read token file \(path): \(String(cString: strerror(errno)))")
    }
    defer { fclose(file) }
    var info = stat()
    guard fstat(fileno(file), &info) == 0, info.st_mode & S_IFMT == S_IFREG else {
      throw ConfigurationError("region \(region): token file \(path) is not a file")
    }
    guard info.st_mode & 0o007 == 0 else {
      throw ConfigurationError(
        "region \(region): token file \(path) is open to every user; chmod 600 \(path)")
    }
    var bytes = [UInt8](repeating: 0, count: 4 * Wire.tokenBytes)
    bytes.removeLast(bytes.count - fread(&bytes, 1, bytes.count, file))
    if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
    if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw ConfigurationError("region \(region): token file \(path) is not UTF-8 text")
    }
    return try token(text, of: region)
  }

  /// Reads a client's address.
  public static func client(_ text: String, of region: RegionName) throws -> ClientAddress {
    guard let address = ClientAddress(text) else {
      throw ConfigurationError(
        "region \(region): '\(text)' is not a client's address; write one like 52:54:00:12:34:56, or for"
          + " a client over RDMA its IP address")
    }
    return address
  }
}

/// A setting that cannot be: which, and what is allowed.
public struct ConfigurationError: Error, CustomStringConvertible, Sendable {
  public let description: String
  public init(_ description: String) { self.description = description }
}
