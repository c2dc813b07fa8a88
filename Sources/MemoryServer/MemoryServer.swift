// SPDX-License-Identifier: Apache-2.0
import Glibc
import Links
import Logging
import PageStore
import RMAP
import Synchronization
import SystemPackage

/// What a memory server is to serve, and with what.
public struct ServerConfiguration: Sendable {
  /// Ethernet interfaces and RDMA addresses to serve on, as `LinkName` reads them; one engine thread each.
  public var links: [String] = []
  public var regions: [RegionConfiguration] = []
  /// Bytes of pages that all regions together may hold.
  public var memoryBytes = 0
  /// Regions of other domains' frames that may be served at a time: see ``MemoryServer/serve(_:as:)``.
  public var foreignRegions = 0
  /// Directory of an arena that outlives the process; nil for anonymous memory.
  public var arenaDirectory: String?
  public var memory = MemoryOptions()
  public var ringFrames = 4096
  /// How long an engine polls for the next frame before it sleeps.
  public var busyPoll_us: UInt64 = 50
  public var maxSessions = 64
  public var sessionTimeout_ms: UInt32 = 30_000

  public init() {}

  /// - Throws: `ConfigurationError` for what cannot be.
  public func validate() throws {
    guard !links.isEmpty else {
      throw ConfigurationError("no link: name one, with --link IFNAME or 'links' in the file")
    }
    for link in links { _ = try Self.name(link) }
    guard Set(links).count == links.count else {
      throw ConfigurationError("a link is named twice; name each once")
    }
    guard !regions.isEmpty || foreignRegions > 0 else {
      throw ConfigurationError(
        "no region: name one, with --region NAME:SIZE or 'regions' in the file, or serve Xen guests"
          + " with --xen")
    }
    guard Set(regions.map(\.name)).count == regions.count else {
      throw ConfigurationError("two regions have the same name; give each its own")
    }
    for region in regions { try region.validate() }
    guard memoryBytes > 0 || regions.isEmpty else {
      throw ConfigurationError(
        "no memory: say how much pages may take, with --memory SIZE or 'memory' in the file")
    }
    try Self.check(ringFrames, in: Self.ringFramesRange, "ring frames")
    try Self.check(maxSessions, in: Self.maxSessionsRange, "max sessions")
    try Self.check(Int(sessionTimeout_ms), in: Self.sessionTimeoutRange_ms, "session timeout in ms")
    try Self.check(Int(busyPoll_us), in: Self.busyPollRange_us, "busy poll in us")
  }

  /// What `ringFrames` may be.
  public static let ringFramesRange = 64...65_536
  /// What `maxSessions` may be.
  public static let maxSessionsRange = 1...4096
  /// What `sessionTimeout_ms` may be.
  public static let sessionTimeoutRange_ms = 1000...86_400_000
  /// What `busyPoll_us` may be.
  public static let busyPollRange_us = 0...1_000_000

  static func name(_ link: String) throws -> LinkName {
    guard let name = LinkName(link) else {
      throw ConfigurationError(
        "link '\(link)': write an interface's name, or rdma:ADDRESS[:PORT] or rdma:DEVICE[:PORT]")
    }
    return name
  }

  private static func check(_ value: Int, in range: ClosedRange<Int>, _ what: String) throws {
    guard range.contains(value) else {
      throw ConfigurationError(
        "\(what): \(value) is not allowed; \(range.lowerBound) to \(range.upperBound) are")
    }
  }
}

/// How full one region is.
public struct RegionReport: Sendable {
  public var name: RegionName
  /// What sessions know it by.
  public var index: Int
  /// The Xen domain whose frames hold the pages; nil for a region in the arena.
  public var domain: Int?
  public var slots: UInt64
  public var quotaPages: Int
  public var storedPages: Int
  /// Bytes of memory that the region has, used or not.
  public var reservedBytes: Int
  public var incarnation: UInt64
}

/// A memory server: the arena, the regions in it, and an engine for each link.
public final class MemoryServer: Sendable {
  private let arena: Arena
  private let regions: [Region]
  private let seats: RegionSeats
  private let engines: [any Engine]
  private let logger: Logger

  /// Allocates memory and takes over what an arena's files hold; serves nothing yet.
  public init(_ configuration: ServerConfiguration, logger: Logger) throws {
    try configuration.validate()
    self.logger = logger
    // Beyond the memory for pages, each region has room for writes under way.
    let bytes = configuration.memoryBytes + configuration.regions.count * 2 * (2 << 20)
    arena =
      if let directory = configuration.arenaDirectory {
        try Arena(
          byteCount: bytes, directory: FilePath(directory), options: configuration.memory)
      } else {
        try Arena(byteCount: bytes, options: configuration.memory)
      }
    let arena = arena
    regions = try configuration.regions.map { try Region($0, arena: arena) }
    arena.beginUse()
    seats = RegionSeats(count: configuration.foreignRegions)
    let (regions, seats) = (regions, seats)
    engines = try configuration.links.enumerated().map { index, link in
      let setup = EngineSetup(
        number: index + 1, regions: regions, seats: seats, ringFrames: configuration.ringFrames,
        busyPoll_us: configuration.busyPoll_us, maxSessions: configuration.maxSessions,
        sessionTimeout_ms: configuration.sessionTimeout_ms, logger: logger)
      return switch try ServerConfiguration.name(link) {
      case .ethernet(let name): try EthernetEngine(link: name, setup)
      case .rdma(let address): try VerbsEngine(link: address, setup)
      }
    }
  }

  /// Starts a thread for each link and returns when all of them answer.
  ///
  /// A link that goes away later is used again when it comes back.
  ///
  /// - Throws: what kept a link from being used.
  public func start() throws {
    for engine in engines {
      let start = StartSignal()
      let thread = LinkThread {
        do {
          try engine.run { start.settle(nil) }
        } catch { start.settle(error) }
      }
      try thread.start()
      threads.withLock { $0.append(thread) }
      if let error = start.wait() {
        stop()
        throw error
      }
    }
  }

  private let threads = Mutex<[LinkThread]>([])

  /// Ends the engines and waits for them; an arena in files is then whole and says so.
  public func stop() {
    for engine in engines { engine.control.stop() }
    let started = threads.withLock { threads in
      defer { threads.removeAll() }
      return threads
    }
    for thread in started { thread.join() }
    for case .arena(let pages) in regions.map(\.pages) { pages.pointee.synchronize() }
    arena.closeCleanly()
  }

  /// Address of the first Ethernet interface that it serves on; nil until that is known.
  public var ethernetAddress: String? {
    engines.lazy.compactMap { $0 as? EthernetEngine }.first.map(\.control.current.address)
      .flatMap { $0.isEmpty ? nil : $0 }
  }

  /// Where guests that are migrated reach it, by transport as the module names it: `ethernet`, and `rdma` with
  /// `ADDRESS[:PORT]` of the first device that it serves on. What is not known yet is missing.
  public var addresses: [String: String] {
    let device = engines.lazy.compactMap { $0 as? VerbsEngine }.first
    return ["ethernet": ethernetAddress, "rdma": device?.clientAddress].compactMapValues { $0 }
  }

  /// What each engine has done.
  public var engineReports: [EngineReport] { engines.map { $0.control.current } }

  /// How full each region is: in the configuration's order, then those that come and go.
  public var regionReports: [RegionReport] {
    let all =
      regions.enumerated().map { ($0, $1) }
      + seats.taken.map { (regions.count + $0.seat, $0.region) }
    return all.map { index, region in
      RegionReport(
        name: region.configuration.name, index: index, domain: region.domain,
        slots: region.configuration.slots, quotaPages: region.configuration.quota,
        storedPages: region.storedPages, reservedBytes: region.reserved,
        incarnation: region.incarnation)
    }
  }

  // MARK: Regions that come and go

  /// Serves the frames of another domain until they are withdrawn; read-only.
  ///
  /// - Parameters:
  ///   - pages: the frames, mapped.
  ///   - access: name, token and so on; its size and quota are taken from the pages.
  /// - Throws: ``ConfigurationError`` when the name is taken, or as many regions are served as may be.
  public func serve(
    _ pages: consuming ForeignPages, as access: RegionConfiguration
  ) throws(ConfigurationError) -> ForeignRegion {
    var configuration = access
    configuration.byteCount = Int(pages.slots) * Wire.pageBytes
    configuration.quotaBytes = pages.stored * Wire.pageBytes
    let region = Region(configuration, foreign: pages)
    guard !regions.contains(where: { $0.configuration.name == configuration.name }),
      seats.add(region)
    else {
      throw ConfigurationError(
        "region \(configuration.name): the name is taken, or \(seats.count) domains are being served,"
          + " which is the most")
    }
    return ForeignRegion(region)
  }

  /// Stops serving a region. Its session ends, and its frames are unmapped with the last reference to `foreign`.
  ///
  /// - Returns: false while a reply may still point to a frame: call again a moment later.
  public func withdraw(_ foreign: ForeignRegion) -> Bool {
    guard foreign.region.withdraw() else {
      for engine in engines { engine.control.wake() }
      return false
    }
    seats.remove(foreign.region)
    return true
  }

  /// Bytes of memory for pages, whether in use or not, with each region's room for writes under way.
  public var memoryBytes: Int { arena.byteCount }
  /// Bytes of it that no region has.
  public var freeBytes: Int { arena.freeChunks * Arena.chunkFrames * Wire.pageBytes }
}
