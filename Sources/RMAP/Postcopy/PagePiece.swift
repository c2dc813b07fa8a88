// SPDX-License-Identifier: Apache-2.0

/// What a message carries of a page, checked: all of it, one fragment, or that it is zeros.
struct PagePiece {
  /// The page's first byte, or the fragment's; nil for a page of zeros.
  private let bytes: UnsafeRawPointer?
  private let offset: Int
  private let length: Int

  /// nil when `fragments` and `length` contradict each other.
  @inline(__always)
  init?(_ message: Message) {
    let carried = message.header.fragments
    let count = message.payload.count
    if carried == Wire.allFragments {
      guard count == Wire.pageBytes || count == 0 else { return nil }
      self.init(page: count == 0 ? nil : message.payload.baseAddress)
      return
    }
    let fragment = carried.trailingZeroBitCount
    guard carried != 0, carried == 1 << UInt8(fragment), fragment < Wire.fragments,
      count == Wire.fragmentLength(fragment)
    else { return nil }
    self.init(
      bytes: message.payload.baseAddress, offset: Wire.fragmentOffset(fragment), length: count)
  }

  /// A whole page, nil for zeros.
  init(page: UnsafeRawPointer?) {
    self.init(bytes: page, offset: 0, length: Wire.pageBytes)
  }

  private init(bytes: UnsafeRawPointer?, offset: Int, length: Int) {
    self.bytes = bytes
    self.offset = offset
    self.length = length
  }

  var isWhole: Bool { length == Wire.pageBytes }

  /// Of a whole page: where it is, nil for zeros.
  var page: UnsafeRawPointer? { bytes }

  /// Puts it in its place in a page of 4,096 bytes.
  @inline(__always)
  func copy(to page: UnsafeMutableRawPointer) {
    if let bytes {
      (page + offset).copyMemory(from: bytes, byteCount: length)
    } else {
      page.initializeMemory(as: UInt8.self, repeating: 0, count: Wire.pageBytes)
    }
  }
}
