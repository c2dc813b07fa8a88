// SPDX-License-Identifier: Apache-2.0

/// Finds the pages in what `xl save` writes, and tells of which PFN each is.
///
/// The file is a header of xl's and the domain's configuration; then a stream of libxl's records (Xen's
/// `docs/specs/libxl-migration-stream.pandoc`, version 2), in which a stream of libxc's is embedded
/// (`libxc-migration-stream.pandoc`, version 3), in whose records the pages are. Anything that it does not
/// understand is just bytes from there on, so nothing is ever lost, and at worst no page is found.
struct ImageParser {
  /// What is next.
  enum Piece: Equatable {
    /// So many bytes that are no page.
    case bytes(Int)
    /// A page.
    case page(pfn: UInt64)
    /// It cannot be told before there are more bytes; those that are left at the end are no page.
    case unknown
  }

  private enum Place {
    case file
    case libxl
    case libxlRecord
    case libxc
    case libxcRecord
    /// Something else.
    case foreign
  }

  private static let pageBytes = 4096
  /// libxc puts 1,024 pages into a record.
  private static let mostPages = 4096

  private var place = Place.file
  /// Bytes that are passed over before the next thing is looked at.
  private var passing = 0
  /// The PFNs of the pages that follow, before them the bytes above.
  private var pfns: [UInt64] = []
  private var nextPage = 0

  /// Says what is next, and takes it as gone.
  ///
  /// - Parameter bytes: what there is of the stream, from where the last piece has ended.
  mutating func next(_ bytes: UnsafeRawBufferPointer) -> Piece {
    if passing == 0 {
      if nextPage < pfns.count {
        guard bytes.count >= Self.pageBytes else { return .unknown }
        defer { nextPage += 1 }
        return .page(pfn: pfns[nextPage])
      }
      guard let header = look(at: bytes) else { return .unknown }
      passing = header
    }
    let count = min(passing, bytes.count)
    guard count > 0 else { return .unknown }
    if place != .foreign { passing -= count }
    return .bytes(count)
  }

  /// Looks at what begins here.
  ///
  /// - Returns: how many bytes of it are no page; nil when there are too few to tell.
  private mutating func look(at bytes: UnsafeRawBufferPointer) -> Int? {
    switch place {
    case .file:
      // struct save_file_header of tools/xl/xl.h.
      guard bytes.count >= 48 else { return nil }
      guard "Xen saved domain, xl format\n".utf8.elementsEqual(bytes.prefix(28)),
        bytes.word(32) == 0x0102_0304
      else { return foreign() }
      place = .libxl
      return 48 + Int(bytes.word(44))
    case .libxl:
      guard bytes.count >= 16 else { return nil }
      // "LibxlFmt", version 2, and options, in which 1 stands for big-endian.
      guard bytes.long(0).byteSwapped == 0x4c69_6278_6c46_6d74, bytes.word(8).byteSwapped == 2,
        bytes.word(12).byteSwapped & 1 == 0
      else { return foreign() }
      place = .libxlRecord
      return 16
    case .libxlRecord:
      guard bytes.count >= 8 else { return nil }
      switch bytes.word(0) {
      case 0: return foreign()  // END
      case 1: place = .libxc  // LIBXC_CONTEXT
      default: break
      }
      return Self.recordBytes(bytes)
    case .libxc:
      guard bytes.count >= 40 else { return nil }
      // The marker, "XENF", version 3, and options, in which 1 stands for big-endian; then the domain's header.
      guard bytes.long(0) == .max, bytes.word(8).byteSwapped == 0x5845_4e46,
        bytes.word(12).byteSwapped == 3, bytes[17] & 1 == 0
      else { return foreign() }
      place = .libxcRecord
      return 40
    case .libxcRecord:
      guard bytes.count >= 8 else { return nil }
      switch bytes.word(0) {
      case 0:  // END
        place = .libxlRecord
        return Self.recordBytes(bytes)
      case 1: return lookAtPages(bytes)  // PAGE_DATA
      default: return Self.recordBytes(bytes)
      }
    case .foreign:
      return foreign()
    }
  }

  /// A record of pages: how many, a word for each with its PFN and its type, and those that have contents.
  private mutating func lookAtPages(_ bytes: UnsafeRawBufferPointer) -> Int? {
    let length = Int(bytes.word(4))
    guard length >= 8 else { return Self.recordBytes(bytes) }
    guard bytes.count >= 16 else { return nil }
    let count = Int(bytes.word(8))
    guard count <= Self.mostPages else { return Self.recordBytes(bytes) }
    let table = 16 + 8 * count
    guard bytes.count >= table else { return nil }
    pfns.removeAll(keepingCapacity: true)
    nextPage = 0
    for index in 0..<count {
      let word = bytes.long(16 + 8 * index)
      // Of XALLOC, BROKEN and XTAB (13, 14, 15) there are no contents.
      if word >> 60 < 13 { pfns.append(word & 0xf_ffff_ffff_ffff) }
    }
    guard length == table - 8 + Self.pageBytes * pfns.count else {
      pfns.removeAll()
      return Self.recordBytes(bytes)
    }
    return table
  }

  private mutating func foreign() -> Int {
    place = .foreign
    return .max
  }

  /// A record's size by its header: type, length, and a body that is padded to 8 bytes.
  private static func recordBytes(_ bytes: UnsafeRawBufferPointer) -> Int {
    8 + (Int(bytes.word(4)) + 7) & ~7
  }
}

extension UnsafeRawBufferPointer {
  fileprivate func word(_ offset: Int) -> UInt32 {
    UInt32(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }
  fileprivate func long(_ offset: Int) -> UInt64 {
    UInt64(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }
}
