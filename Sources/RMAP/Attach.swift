// SPDX-License-Identifier: Apache-2.0
import CRMAP

/// The name of a region: 1 to 31 of `A–Z a–z 0–9 . _ -`.
public struct RegionName: Hashable, Sendable, LosslessStringConvertible {
  public let description: String

  public init?(_ text: String) {
    let bytes = Array(text.utf8)
    guard (1..<Wire.regionNameBytes).contains(bytes.count), bytes.allSatisfy(Self.allows) else {
      return nil
    }
    description = text
  }

  private static func allows(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
      UInt8(ascii: "-"):
      true
    default: false
    }
  }
}

/// What a region may ask of a client: up to 32 bytes, NUL-padded.
public struct Token: Sendable {
  /// Exactly 32 bytes.
  public let bytes: [UInt8]

  /// - Returns: nil when `text` has more than 32 bytes of UTF-8.
  public init?(_ text: String) {
    let text = Array(text.utf8)
    guard text.count <= Wire.tokenBytes else { return nil }
    bytes = text + [UInt8](repeating: 0, count: Wire.tokenBytes - text.count)
  }

  public static let none = Token("")!

  /// Compares in a time that does not depend on where the tokens differ.
  public func matches(_ other: Token) -> Bool {
    zip(bytes, other.bytes).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
  }
}

/// The payload of ATTACH.
public struct AttachRequest: Sendable {
  public var region: RegionName
  public var token: Token
  /// Slots wanted, 0 for all that the region has.
  public var slots: UInt64
  public var attachID: UInt64
  /// The store that the client's data is in, 0 when it has none.
  public var incarnation: UInt64
  public var mtu: UInt16
  public var queueDepth: UInt16

  public init(
    region: RegionName, token: Token, slots: UInt64, attachID: UInt64, incarnation: UInt64,
    mtu: UInt16, queueDepth: UInt16
  ) {
    self.region = region
    self.token = token
    self.slots = slots
    self.attachID = attachID
    self.incarnation = incarnation
    self.mtu = mtu
    self.queueDepth = queueDepth
  }

  /// Reads the payload of an ATTACH; nil when it is malformed.
  public init?(payload: UnsafeRawBufferPointer) {
    guard payload.count == Int(RMAP_ATTACH_BYTES) else { return nil }
    let name = payload[0..<Wire.regionNameBytes]
    guard let end = name.firstIndex(of: 0), name[end...].allSatisfy({ $0 == 0 }),
      let region = RegionName(String(decoding: name[..<end], as: UTF8.self))
    else { return nil }
    let raw = payload.loadUnaligned(as: rmap_attach.self)
    self.region = region
    let token = payload[Wire.regionNameBytes..<Wire.regionNameBytes + Wire.tokenBytes]
    self.token = Token(bytes: Array(token))
    slots = UInt64(littleEndian: raw.slots)
    attachID = UInt64(littleEndian: raw.attach_id)
    incarnation = UInt64(littleEndian: raw.incarnation)
    mtu = UInt16(littleEndian: raw.mtu)
    queueDepth = UInt16(littleEndian: raw.queue_depth)
    guard (Wire.minMTU...Wire.maxMTU).contains(Int(mtu)), queueDepth > 0 else { return nil }
  }

  /// The payload's bytes.
  public var payload: [UInt8] {
    var raw = rmap_attach()
    raw.slots = slots.littleEndian
    raw.attach_id = attachID.littleEndian
    raw.incarnation = incarnation.littleEndian
    raw.mtu = mtu.littleEndian
    raw.queue_depth = queueDepth.littleEndian
    return withUnsafeMutableBytes(of: &raw) { bytes in
      bytes.baseAddress!.copyMemory(
        from: Array(region.description.utf8), byteCount: region.description.utf8.count)
      (bytes.baseAddress! + Wire.regionNameBytes).copyMemory(
        from: token.bytes, byteCount: Wire.tokenBytes)
      return Array(bytes)
    }
  }
}

extension Token {
  fileprivate init(bytes: [UInt8]) {
    self.bytes = bytes
  }
}

/// The payload of the reply to ATTACH.
public struct AttachReply: Sendable, Equatable {
  public var slots: UInt64
  public var attachID: UInt64
  public var incarnation: UInt64
  public var mtu: UInt16
  public var queueDepth: UInt16
  /// The store is not the one that the client named.
  public var lost: Bool
  public var sessionTimeout_ms: UInt32

  public init(
    slots: UInt64, attachID: UInt64, incarnation: UInt64, mtu: UInt16, queueDepth: UInt16,
    lost: Bool, sessionTimeout_ms: UInt32
  ) {
    self.slots = slots
    self.attachID = attachID
    self.incarnation = incarnation
    self.mtu = mtu
    self.queueDepth = queueDepth
    self.lost = lost
    self.sessionTimeout_ms = sessionTimeout_ms
  }

  /// Reads the payload of a reply; nil when it is malformed.
  public init?(payload: UnsafeRawBufferPointer) {
    guard payload.count == Int(RMAP_ATTACHED_BYTES) else { return nil }
    let raw = payload.loadUnaligned(as: rmap_attached.self)
    slots = UInt64(littleEndian: raw.slots)
    attachID = UInt64(littleEndian: raw.attach_id)
    incarnation = UInt64(littleEndian: raw.incarnation)
    mtu = UInt16(littleEndian: raw.mtu)
    queueDepth = UInt16(littleEndian: raw.queue_depth)
    lost = UInt32(littleEndian: raw.flags) & Wire.attachedLost != 0
    sessionTimeout_ms = UInt32(littleEndian: raw.session_timeout_ms)
    guard (Wire.minMTU...Wire.maxMTU).contains(Int(mtu)),
      (1...Wire.maxQueueDepth).contains(Int(queueDepth)), slots > 0, slots <= Wire.maxSlots,
      sessionTimeout_ms > 0
    else { return nil }
  }

  /// The payload in the wire's form.
  var raw: rmap_attached {
    rmap_attached(
      slots: slots.littleEndian, attach_id: attachID.littleEndian,
      incarnation: incarnation.littleEndian, mtu: mtu.littleEndian,
      queue_depth: queueDepth.littleEndian, flags: (lost ? Wire.attachedLost : 0).littleEndian,
      session_timeout_ms: sessionTimeout_ms.littleEndian, reserved: 0)
  }
}

/// The payload of the reply to STATUS: `struct rmap_region_status`.
public struct RegionStatus: Sendable, Equatable {
  public var slots: UInt64
  /// Slots that hold a page.
  public var stored: UInt64
  /// The most slots that may hold one.
  public var quota: UInt64

  public init(slots: UInt64, stored: UInt64, quota: UInt64) {
    self.slots = slots
    self.stored = stored
    self.quota = quota
  }

  /// Reads the payload of a reply; nil when it is malformed.
  public init?(payload: UnsafeRawBufferPointer) {
    guard payload.count == Int(RMAP_REGION_STATUS_BYTES) else { return nil }
    let raw = payload.loadUnaligned(as: rmap_region_status.self)
    slots = UInt64(littleEndian: raw.slots)
    stored = UInt64(littleEndian: raw.stored)
    quota = UInt64(littleEndian: raw.quota)
  }

  var raw: rmap_region_status {
    rmap_region_status(
      slots: slots.littleEndian, stored: stored.littleEndian, quota: quota.littleEndian,
      reserved: 0)
  }
}
