// SPDX-License-Identifier: Apache-2.0

/// What a memory server does, as `/status` shows it in JSON; the keys are the properties' names.
///
/// A key may be added in any release; `schema` grows when one goes or changes its meaning.
public struct ServerStatus: Codable, Sendable, Equatable {
  /// Version of the report: 1.
  public var schema = 1
  /// Seconds since the server began to answer.
  public var uptime_s: Double
  /// Unix time at which the server began to answer, in seconds.
  public var start_time_s: Double
  /// Do all engines run?
  public var healthy: Bool
  /// Memory for pages, in use or not: as configured, in whole chunks of 2 MiB, and two chunks more
  /// for each region's writes under way. What is in use is `stored_bytes`.
  public var memory_bytes: Int
  /// Of that, memory that no region has.
  public var free_bytes: Int
  /// Bytes of pages that the regions hold, those in guests' memory left out.
  public var stored_bytes: Int
  public var links: [Link]
  public var regions: [Region]

  /// One link and its engine. Counters are since the server began.
  public struct Link: Codable, Sendable, Equatable {
    public var name: String
    public var address: String
    public var up: Bool
    public var mtu: Int
    public var sessions: Int
    public var rx_frames: UInt64
    /// Frames that the receive ring had no room for.
    public var rx_dropped: UInt64
    /// Frames over RDMA that came with an error, over a connection that had ended, or by a write that was not asked for.
    public var rx_bad: UInt64
    /// Connections over RDMA that were refused: too many, or of another version.
    public var connections_refused: UInt64
    public var tx_frames: UInt64
    /// Frames of these that were written to a client's buffers: pushes over RDMA.
    public var tx_written: UInt64
    public var tx_bytes: UInt64
    /// Frames that the system would not take.
    public var tx_dropped: UInt64
    /// System calls that sent frames.
    public var tx_calls: UInt64
    /// How often the engine slept because there was nothing to do.
    public var sleeps: UInt64
    /// CPU time of the engine.
    public var cpu_us: UInt64
    /// Requests and faults, by name.
    public var counters: [String: UInt64]

    public init(
      name: String, address: String, up: Bool, mtu: Int, sessions: Int, rx_frames: UInt64,
      rx_dropped: UInt64, rx_bad: UInt64, connections_refused: UInt64, tx_frames: UInt64,
      tx_written: UInt64, tx_bytes: UInt64,
      tx_dropped: UInt64, tx_calls: UInt64, sleeps: UInt64, cpu_us: UInt64,
      counters: [String: UInt64]
    ) {
      self.name = name
      self.address = address
      self.up = up
      self.mtu = mtu
      self.sessions = sessions
      self.rx_frames = rx_frames
      self.rx_dropped = rx_dropped
      self.rx_bad = rx_bad
      self.connections_refused = connections_refused
      self.tx_frames = tx_frames
      self.tx_written = tx_written
      self.tx_bytes = tx_bytes
      self.tx_dropped = tx_dropped
      self.tx_calls = tx_calls
      self.sleeps = sleeps
      self.cpu_us = cpu_us
      self.counters = counters
    }
  }

  /// One region.
  public struct Region: Codable, Sendable, Equatable {
    public var name: String
    public var slots: UInt64
    /// The most pages that it may hold.
    public var quota_pages: Int
    public var stored_pages: Int
    /// Memory that it has, in use or not.
    public var reserved_bytes: Int
    /// The store that its pages are in, 16 hexadecimal digits.
    public var incarnation: String
    /// The Xen domain whose memory its pages are in; left out for the server's own.
    public var domain: Int?
    /// The client that is attached; null for none.
    public var session: Session?

    public init(
      name: String, slots: UInt64, quota_pages: Int, stored_pages: Int, reserved_bytes: Int,
      incarnation: String, domain: Int? = nil, session: Session?
    ) {
      self.name = name
      self.slots = slots
      self.quota_pages = quota_pages
      self.stored_pages = stored_pages
      self.reserved_bytes = reserved_bytes
      self.incarnation = incarnation
      self.domain = domain
      self.session = session
    }
  }

  /// A client's session.
  public struct Session: Codable, Sendable, Equatable {
    /// `0x` and 8 hexadecimal digits.
    public var id: String
    public var link: String
    /// The client's address.
    public var client: String
    public var mtu: Int
    public var queue_depth: Int
    public var credits: Int
    /// Since the client was last heard.
    public var idle_ms: UInt64
    /// Its post-copy; left out when there is none.
    public var postcopy: Postcopy?

    public init(
      id: String, link: String, client: String, mtu: Int, queue_depth: Int, credits: Int,
      idle_ms: UInt64, postcopy: Postcopy? = nil
    ) {
      self.id = id
      self.link = link
      self.client = client
      self.mtu = mtu
      self.queue_depth = queue_depth
      self.credits = credits
      self.idle_ms = idle_ms
      self.postcopy = postcopy
    }
  }

  /// A post-copy under way, in pages.
  public struct Postcopy: Codable, Sendable, Equatable {
    public var strategy: String
    /// That the client did not have at the beginning.
    public var pages: UInt64
    /// Of these, neither pushed nor fetched yet.
    public var remaining: UInt64
    public var pushed: UInt64
    /// Sent because the client asked: network faults.
    public var fetched: UInt64
    /// Asked for while a push of them was on its way.
    public var overlapped: UInt64
    /// Pushed, but the client had no use for them.
    public var already_there: UInt64
    /// Sent again.
    public var retransmitted: UInt64
    /// Measured bandwidth of the push.
    public var bandwidth_bytes_s: UInt64

    public init(
      strategy: String, pages: UInt64, remaining: UInt64, pushed: UInt64, fetched: UInt64,
      overlapped: UInt64, already_there: UInt64, retransmitted: UInt64,
      bandwidth_bytes_s: UInt64
    ) {
      self.strategy = strategy
      self.pages = pages
      self.remaining = remaining
      self.pushed = pushed
      self.fetched = fetched
      self.overlapped = overlapped
      self.already_there = already_there
      self.retransmitted = retransmitted
      self.bandwidth_bytes_s = bandwidth_bytes_s
    }
  }

  public init(
    uptime_s: Double, start_time_s: Double, healthy: Bool, memory_bytes: Int, free_bytes: Int,
    stored_bytes: Int, links: [Link], regions: [Region]
  ) {
    self.uptime_s = uptime_s
    self.start_time_s = start_time_s
    self.healthy = healthy
    self.memory_bytes = memory_bytes
    self.free_bytes = free_bytes
    self.stored_bytes = stored_bytes
    self.links = links
    self.regions = regions
  }
}

extension ServerStatus.Region {
  /// A region without a session says so: `"session": null`.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(name, forKey: .name)
    try container.encode(slots, forKey: .slots)
    try container.encode(quota_pages, forKey: .quota_pages)
    try container.encode(stored_pages, forKey: .stored_pages)
    try container.encode(reserved_bytes, forKey: .reserved_bytes)
    try container.encode(incarnation, forKey: .incarnation)
    try container.encodeIfPresent(domain, forKey: .domain)
    try container.encode(session, forKey: .session)
  }
}
