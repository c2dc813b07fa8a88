// SPDX-License-Identifier: Apache-2.0

/// What a client wants of its session.
public struct ClientConfiguration: Sendable {
  public var region: RegionName
  public var token: Token
  /// Slots wanted, 0 for all that the region has.
  public var slots: UInt64
  /// The link's MTU in bytes; the session's may be lower.
  public var mtu: Int
  /// Requests wanted outstanding at once.
  public var queueDepth: Int
  /// The server's address, or broadcast to find it.
  public var server: MACAddress
  /// A request without an answer for so long fails.
  public var giveUp_ns: UInt64
  /// Of the first attach; the client's wall clock in nanoseconds serves.
  public var attachID: UInt64
  /// Whether the link loses nothing as long as it lasts, as an RDMA connection does: then nothing is sent again, and
  /// `reconnected` says when another connection has taken its place.
  public var isReliable = false

  public init(
    region: RegionName, token: Token = .none, slots: UInt64 = 0, mtu: Int, queueDepth: Int,
    server: MACAddress = .broadcast, giveUp_ns: UInt64 = 30_000_000_000, attachID: UInt64
  ) {
    precondition((Wire.minMTU...Wire.maxMTU).contains(mtu))
    precondition((1...Wire.maxQueueDepth).contains(queueDepth))
    self.region = region
    self.token = token
    self.slots = slots
    self.mtu = mtu
    self.queueDepth = queueDepth
    self.server = server
    self.giveUp_ns = giveUp_ns
    self.attachID = attachID
  }
}
