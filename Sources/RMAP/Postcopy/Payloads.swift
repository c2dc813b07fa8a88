// SPDX-License-Identifier: Apache-2.0
import CRMAP

/// Slots next to one another, last used at about the same time: `struct rmap_extent`.
public struct Extent: Sendable, Hashable {
  public var slot: UInt64
  public var count: UInt32

  public init(slot: UInt64, count: UInt32) {
    self.slot = slot
    self.count = count
  }

  /// Reads extent `index` of a HINT's payload.
  @inlinable
  public init(_ payload: UnsafeRawBufferPointer, at index: Int) {
    let raw = payload.loadUnaligned(
      fromByteOffset: index * Wire.extentBytes, as: rmap_extent.self)
    slot = UInt64(littleEndian: raw.slot)
    count = UInt32(littleEndian: raw.count)
  }

  /// Writes the extent as element `index` of a HINT's payload.
  public func store(in payload: UnsafeMutableRawPointer, at index: Int) {
    let raw = rmap_extent(slot: slot.littleEndian, count: count.littleEndian, reserved: 0)
    payload.storeBytes(of: raw, toByteOffset: index * Wire.extentBytes, as: rmap_extent.self)
  }
}

/// The payload of BEGIN: `struct rmap_begin`.
public struct BeginRequest: Sendable, Equatable {
  /// Which page goes next, by name; empty: the server's choice.
  public var strategy: String
  /// The most bytes of pages in a second, 0 for as many as the network carries.
  public var rate_bytes_s: UInt64
  /// Extents that the HINTs before have carried.
  public var extents: Int
  /// Pushes that the client can take at a time.
  public var window: Int
  /// Over RDMA: where pushes are to be written; nil: they are to be sent.
  public var buffers: PushBuffers?

  /// - Parameters:
  ///   - strategy: at most 32 bytes of ASCII.
  ///   - window: 1 to 64.
  public init(
    strategy: String = "", rate_bytes_s: UInt64 = 0, extents: Int = 0,
    window: Int = Wire.pushWindow, buffers: PushBuffers? = nil
  ) {
    precondition(strategy.utf8.count <= Wire.strategyBytes)
    precondition((1...Wire.pushWindow).contains(window))
    self.strategy = strategy
    self.rate_bytes_s = rate_bytes_s
    self.extents = extents
    self.window = window
    self.buffers = buffers
  }

  /// Reads the payload of a BEGIN; nil when it is malformed.
  public init?(payload: UnsafeRawBufferPointer) {
    guard payload.count == Int(RMAP_BEGIN_BYTES) else { return nil }
    let name = payload[0..<Wire.strategyBytes]
    let end = name.firstIndex(of: 0) ?? name.endIndex
    guard name[end...].allSatisfy({ $0 == 0 }),
      name[..<end].allSatisfy({ (0x21...0x7E).contains($0) })
    else { return nil }
    let raw = payload.loadUnaligned(as: rmap_begin.self)
    strategy = String(decoding: name[..<end], as: UTF8.self)
    rate_bytes_s = UInt64(littleEndian: raw.rate)
    extents = Int(UInt32(littleEndian: raw.extents))
    window = Int(UInt16(littleEndian: raw.window))
    buffers =
      raw.buffers == 0
      ? nil
      : PushBuffers(
        address: UInt64(littleEndian: raw.buffers), key: UInt32(littleEndian: raw.key))
    guard (1...Wire.pushWindow).contains(window), extents <= Wire.maxOrderExtents else {
      return nil
    }
  }

  /// The payload's bytes.
  public var payload: [UInt8] {
    var raw = rmap_begin()
    raw.rate = rate_bytes_s.littleEndian
    raw.extents = UInt32(extents).littleEndian
    raw.window = UInt16(window).littleEndian
    raw.buffers = (buffers?.address ?? 0).littleEndian
    raw.key = (buffers?.key ?? 0).littleEndian
    return withUnsafeMutableBytes(of: &raw) { bytes in
      bytes.copyBytes(from: strategy.utf8)
      return Array(bytes)
    }
  }
}

/// The payload of END: `struct rmap_end`.
public struct EndRequest: Sendable, Equatable {
  /// Pushed pages that nothing used before the end; nil when the client cannot know.
  public var unused: UInt64?

  public init(unused: UInt64? = nil) { self.unused = unused }

  /// Reads the payload of an END; nil when it is malformed.
  public init?(payload: UnsafeRawBufferPointer) {
    guard payload.count == Int(RMAP_END_BYTES) else { return nil }
    let raw = UInt64(littleEndian: payload.loadUnaligned(as: rmap_end.self).unused)
    unused = raw == .max ? nil : raw
  }

  /// The payload's bytes.
  public var payload: [UInt8] {
    var raw = rmap_end(unused: (unused ?? .max).littleEndian, reserved: 0)
    return withUnsafeBytes(of: &raw) { Array($0) }
  }
}

/// What a server has counted of one post-copy, as `ServerCore.transfers` reports it.
public struct TransferReport: Sendable, Equatable {
  /// The session that it belongs to.
  public var session: UInt32
  /// The store's index of the region.
  public var region: Int
  public var strategy: String
  /// Pages that the client did not have at the beginning.
  public var pages: UInt64 = 0
  /// Of these, neither pushed nor fetched yet.
  public var remaining: UInt64 = 0
  /// Pushed, and known to have arrived.
  public var pushed: UInt64 = 0
  /// Sent because the client asked: network faults.
  public var fetched: UInt64 = 0
  /// Asked for while a push of them was on its way: not sent a second time.
  public var overlapped: UInt64 = 0
  /// Pushed pages that the client had no use for: it had them, had written or freed them.
  public var alreadyThere: UInt64 = 0
  /// Pushed pages that nothing used before the end, as the client says at the end.
  public var unused: UInt64?
  /// Pushes sent again.
  public var retransmitted: UInt64 = 0
  /// Measured bandwidth of the push, bytes per second.
  public var bandwidth_bytes_s: UInt64 = 0
  /// Everything has arrived.
  public var isComplete = false
  /// The client has said END: it needs nothing more.
  public var hasEnded = false

  init(session: UInt32, region: Int, strategy: String) {
    self.session = session
    self.region = region
    self.strategy = strategy
  }
}
