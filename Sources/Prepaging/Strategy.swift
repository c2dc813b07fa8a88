// SPDX-License-Identifier: Apache-2.0

/// A named way to choose which page is pushed next.
///
/// The names are those of the paper's strategies (sections 3.2, 4.3 and 5.4), each also with
/// `+lru`, which has them walk the pages in the client's LRU order in place of the slots' order,
/// and `streams` and `replay`, our own.
public struct Strategy: Hashable, Sendable {
  enum Kind: Hashable, Sendable {
    case demandOnly
    case push
    case bubble(Direction)
    case bubbles(Direction, pivots: Int)
    case streams
    case replay
  }

  let kind: Kind
  /// Whether the client's LRU order is used.
  public let usesOrder: Bool

  /// Whether the order is to be the one in which the client's threads touched their pages after an earlier move.
  public var replays: Bool { kind == .replay }

  /// Whether anything is pushed at all.
  public var pushes: Bool { kind != .demandOnly }

  /// Pivots where the name says no other number: the paper found 7 to be the best.
  public static let defaultPivots = 7

  private static let kinds: [(name: String, kind: Kind)] = [
    ("demand-only", .demandOnly),
    ("push", .push),
    ("bubble-forward", .bubble(.forward)),
    ("bubble-backward", .bubble(.backward)),
    ("bubble-dual", .bubble(.dual)),
    ("bubble-forward-multi", .bubbles(.forward, pivots: defaultPivots)),
    ("bubble-backward-multi", .bubbles(.backward, pivots: defaultPivots)),
    ("bubble-dual-multi", .bubbles(.dual, pivots: defaultPivots)),
    ("streams", .streams),
    ("replay", .replay),
  ]

  /// All names, without `+lru` and numbers of pivots.
  public static var names: [String] { kinds.map(\.name) }

  /// What a name may be, for help and error texts.
  public static var help: String {
    names.joined(separator: ", ")
      + "; a -multi one may end in :PIVOTS (1 to \(Bubbles.pivotLimit), \(defaultPivots) unless"
      + " given), and each in +lru"
  }
}

extension Strategy: LosslessStringConvertible {
  /// The strategy of a name such as `bubble-dual-multi:12+lru`; nil when there is none.
  public init?(_ description: String) {
    let suffix = "+lru"
    usesOrder = description.hasSuffix(suffix)
    let plain = description.dropLast(usesOrder ? suffix.count : 0)
    let parts = plain.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard let found = Self.kinds.first(where: { $0.name == parts[0] }) else { return nil }
    guard parts.count == 2 else {
      kind = found.kind
      return
    }
    // Only plain digits: Int would also take a sign.
    guard case .bubbles(let direction, _) = found.kind,
      parts[1].utf8.allSatisfy({ (48...57).contains($0) }), let pivots = Int(parts[1]),
      (1...Bubbles.pivotLimit).contains(pivots)
    else { return nil }
    kind = .bubbles(direction, pivots: pivots)
  }

  public var description: String {
    var name: String
    switch kind {
    case .bubbles(let direction, let pivots) where pivots != Self.defaultPivots:
      let plain = Kind.bubbles(direction, pivots: Self.defaultPivots)
      name = Self.kinds.first { $0.kind == plain }!.name + ":\(pivots)"
    default:
      name = Self.kinds.first { $0.kind == kind }!.name
    }
    if usesOrder { name += "+lru" }
    return name
  }
}

extension Strategy: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let name = try container.decode(String.self)
    guard let strategy = Self(name) else {
      throw DecodingError.dataCorruptedError(
        in: container,
        debugDescription: "unknown prepaging strategy \"\(name)\": one of \(Self.help)")
    }
    self = strategy
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
