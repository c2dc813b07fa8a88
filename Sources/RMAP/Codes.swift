// SPDX-License-Identifier: Apache-2.0
import CRMAP

/// What a message is (`enum rmap_opcode`), without the bit that marks a reply.
public enum Opcode: UInt8, Sendable, CaseIterable {
  case pad = 0x00
  case attach = 0x01
  case read = 0x02
  case write = 0x03
  case discard = 0x04
  case flush = 0x05
  case keepAlive = 0x06
  case status = 0x07
  case detach = 0x08
  case hint = 0x09
  case have = 0x0A
  case begin = 0x0B
  case push = 0x0C
  case pushed = 0x0D
  case end = 0x0E
  case window = 0x0F
  case error = 0x7F

  /// Set in the opcode byte of every reply.
  public static let replyBit: UInt8 = 0x80

  /// The opcode byte of the reply to this request.
  @inlinable public var reply: UInt8 { rawValue | Opcode.replyBit }
}

/// How a request ended (`enum rmap_status`).
public enum Status: UInt8, Sendable, CaseIterable {
  case ok = 0
  case badVersion = 1
  case badOpcode = 2
  case badMessage = 3
  case badSession = 4
  case noRegion = 5
  case denied = 6
  case busy = 7
  case tooLarge = 8
  case outOfRange = 9
  case noSpace = 10
  case lost = 11
  case ioError = 12
  case tooMany = 13
  case noStrategy = 14
  case readOnly = 15
  case noWindow = 16
}

extension Status: CustomStringConvertible {
  /// A sentence for people, without a full stop.
  public var description: String {
    switch self {
    case .ok: "done"
    case .badVersion: "the server speaks another version of RMAP"
    case .badOpcode: "the server does not know this request"
    case .badMessage: "the server found the message malformed"
    case .badSession: "the server has no such session"
    case .noRegion: "the server has no region of that name"
    case .denied: "this client or token may not attach to the region"
    case .busy: "another client is attached to the region"
    case .tooLarge: "the region is smaller than the size asked for"
    case .outOfRange: "the slot lies behind the end of the region"
    case .noSpace: "the region's quota or the server's memory is used up"
    case .lost: "the page went with an earlier incarnation of the server's store"
    case .ioError: "the server's store failed"
    case .tooMany: "the server has as many sessions as it may have"
    case .noStrategy: "the server does not know the strategy"
    case .readOnly: "the region is read-only"
    case .noWindow: "the region's memory cannot be reached directly over this link"
    }
  }
}

/// The numbers of the wire format that Swift code uses, as `Int`.
public enum Wire {
  public static let version = UInt8(RMAP_VERSION)
  public static let etherType = UInt16(RMAP_ETHERTYPE)
  public static let pageBytes = Int(RMAP_PAGE_BYTES)
  public static let headerBytes = Int(RMAP_HDR_BYTES)
  public static let summedBytes = Int(RMAP_HDR_SUMMED_BYTES)
  public static let fragmentBytes = Int(RMAP_FRAGMENT_BYTES)
  public static let fragments = Int(RMAP_FRAGMENTS)
  public static let allFragments = UInt8(RMAP_ALL_FRAGMENTS)
  public static let minMTU = 40 + Int(RMAP_FRAGMENT_BYTES)
  public static let wholePageMTU = 40 + Int(RMAP_PAGE_BYTES)
  public static let maxMTU = Int(RMAP_MAX_MTU)
  /// The MTU that every Ethernet carries, asked for when a larger one goes unanswered.
  public static let fallbackMTU = 1500
  public static let maxQueueDepth = Int(RMAP_MAX_QUEUE_DEPTH)
  public static let noTag = UInt16(RMAP_NO_TAG)
  public static let maxSlots: UInt64 = 1 << 32
  public static let maxDiscardSlots = 1 << 16
  public static let regionNameBytes = Int(RMAP_REGION_NAME_BYTES)
  public static let tokenBytes = Int(RMAP_TOKEN_BYTES)
  public static let pushWindow = Int(RMAP_PUSH_WINDOW)
  public static let pushBufferBytes = Int(RMAP_PUSH_BUFFER_BYTES)
  public static let maxAnnounced = Int(RMAP_MAX_ANNOUNCED)
  public static let maxHintExtents = Int(RMAP_MAX_HINT_EXTENTS)
  public static let maxOrderExtents = Int(RMAP_MAX_ORDER_EXTENTS)
  public static let extentBytes = Int(RMAP_EXTENT_BYTES)
  public static let maxHaveBytes = Int(RMAP_MAX_HAVE_BYTES)
  public static let strategyBytes = Int(RMAP_STRATEGY_BYTES)
  /// The port of RDMA servers unless said otherwise.
  public static let rdmaPort = UInt16(RMAP_RDMA_PORT)
  public static let attachedLost = UInt32(RMAP_ATTACHED_LOST)

  /// Where fragment `index` begins in its page, in bytes.
  @inlinable public static func fragmentOffset(_ index: Int) -> Int { index * fragmentBytes }

  /// How many bytes fragment `index` has.
  @inlinable public static func fragmentLength(_ index: Int) -> Int {
    min(fragmentBytes, pageBytes - fragmentOffset(index))
  }
}
