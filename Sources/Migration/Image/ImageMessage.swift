// SPDX-License-Identifier: Apache-2.0

/// What carries a guest's image: messages of one word, 32 bits little-endian, and what it counts.
///
///     bits 31-29  the kind
///     bits 28-0   how many
///
/// They go over a connection that neither loses nor damages anything.
enum ImageMessage: UInt32 {
  /// There is no more; counts nothing.
  case end = 0
  /// Bytes of the image.
  case bytes = 1
  /// Pages that may come in the image: each a PFN, 32 bits, and its contents. The last of a PFN counts.
  case ahead = 2
  /// Pages of the image that are as they came ahead: each a PFN.
  case same = 3
  /// Pages of the image that are all zeros: nothing more.
  case zero = 4

  static let headerBytes = 4
  static let pageBytes = 4096
  static let pfnBytes = 4
  private static let countBits: UInt32 = 29

  /// Bytes of each thing that is counted.
  var itemBytes: Int {
    switch self {
    case .end, .bytes: 1
    case .ahead: Self.pfnBytes + Self.pageBytes
    case .same: Self.pfnBytes
    case .zero: 0
    }
  }

  /// The most that a message may count: each is 1 MiB at most, those of zeros when they have been written.
  var mostItems: Int {
    switch self {
    case .end: 0
    case .zero: (1 << 20) / Self.pageBytes
    case .bytes, .ahead, .same: (1 << 20) / itemBytes
    }
  }

  func header(count: Int) -> UInt32 { rawValue << Self.countBits | UInt32(count) }

  /// - Returns: nil when there is no such kind, or it counts more than it may.
  static func parse(_ header: UInt32) -> (kind: ImageMessage, count: Int)? {
    guard let kind = ImageMessage(rawValue: header >> countBits) else { return nil }
    let count = Int(header & (1 << countBits - 1))
    return count <= kind.mostItems ? (kind, count) : nil
  }
}

/// What one step of carrying an image came to.
enum ImageStep {
  case moved
  /// Nothing came for 100 ms, or a signal did.
  case idle
  /// The input's end.
  case end
  /// Nobody reads the output any more, or what came is no image.
  case broken
}
