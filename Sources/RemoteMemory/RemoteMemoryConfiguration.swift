// SPDX-License-Identifier: Apache-2.0
import RMAP

/// Where a program's pages are, and how they are to come.
public struct RemoteMemoryConfiguration: Sendable {
  /// The Ethernet interface behind which the server is.
  public var link: String
  public var region: RegionName
  public var token = Token.none
  /// The server's address, or broadcast to find it.
  public var server = MACAddress.broadcast
  /// The MTU to ask for, at most the link's; nil for the link's.
  public var mtu: Int?
  /// Which page goes next, by name; empty: the server's choice.
  public var strategy = ""
  /// The most bytes of pages that the server may push in a second, 0 for no limit.
  public var rate_bytes_s: UInt64 = 0
  /// Slots in LRU order, the most recently used first; or in the order in which they will be needed, as far as
  /// that is known.
  public var order: [Extent] = []
  /// Whether to note in which order pages are first waited for, as ``RemoteMemory/touches`` has it; takes 12
  /// bytes for each slot.
  public var recordsTouches = false
  /// Requests outstanding at once.
  public var queueDepth = 128
  /// How long the first attach may take.
  public var attachTimeout_ms = 5000
  /// A page that does not come for so long cannot be had: who waits for it gets SIGBUS.
  public var giveUp_ms = 120_000
  /// How long to poll for the next frame or fault before sleeping.
  public var busyPoll_us: UInt64 = 50

  public init(link: String, region: RegionName) {
    self.link = link
    self.region = region
  }

  /// - Throws: when a value is outside of what a session can have.
  func check() throws(RemoteMemoryError) {
    guard (1...Wire.maxQueueDepth).contains(queueDepth) else {
      throw RemoteMemoryError(
        "a queue depth of \(queueDepth) requests: 1 to \(Wire.maxQueueDepth) can be outstanding")
    }
    guard strategy.utf8.count <= Wire.strategyBytes else {
      throw RemoteMemoryError(
        "strategy '\(strategy)': names have at most \(Wire.strategyBytes) bytes")
    }
    guard mtu.map({ $0 >= Wire.minMTU }) ?? true else {
      throw RemoteMemoryError("an MTU of \(mtu!): at least \(Wire.minMTU) is needed")
    }
    guard attachTimeout_ms >= 0, giveUp_ms > 0 else {
      throw RemoteMemoryError("a time limit is negative, or leaves no time for a page")
    }
  }
}
