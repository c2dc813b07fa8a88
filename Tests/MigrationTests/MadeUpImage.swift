// SPDX-License-Identifier: Apache-2.0

/// What `xl save` could write of a guest with these pages, and where each page is in it.
struct MadeUpImage {
  private(set) var bytes: [UInt8] = []
  /// Each page's PFN, and the offset of its contents.
  private(set) var pages: [(pfn: UInt64, offset: Int)] = []

  /// - Parameters:
  ///   - pages: PFN and contents of each, in this order; nil for one that the guest does not have.
  ///   - perRecord: how many go into a record.
  init(_ pages: [(pfn: UInt64, contents: [UInt8]?)], perRecord: Int = 1024) {
    let configuration = Array("{\"name\":\"guest\"}".utf8)
    bytes += Array("Xen saved domain, xl format\n \0 \r".utf8)
    for word in [0x0102_0304, 3, 0, UInt32(configuration.count)] { little(word) }
    bytes += configuration
    bytes += Array("LibxlFmt".utf8) + [0, 0, 0, 2, 0, 0, 0, 0]
    record(1, [])
    bytes += Array(repeating: 0xff, count: 8) + Array("XENF".utf8)
    bytes += [0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0]
    for word: UInt32 in [1, 12, 4, 17] { little(word) }
    record(2, [1, 2, 3])
    for from in stride(from: 0, to: pages.count, by: perRecord) {
      addPages(Array(pages[from..<min(from + perRecord, pages.count)]))
    }
    record(0, [])
    record(2, Array("store".utf8))
    record(0, [])
  }

  private mutating func addPages(_ some: [(pfn: UInt64, contents: [UInt8]?)]) {
    little(1)
    little(UInt32(8 + 8 * some.count + 4096 * some.count { $0.contents != nil }))
    little(UInt32(some.count))
    little(0)
    for page in some {
      // 15 is XTAB, which has no contents; 3 in the upper bits is a page table of the third level.
      let word = page.pfn | (page.contents == nil ? 15 : page.pfn % 5 == 0 ? 3 : 0) << 60
      little(UInt32(truncatingIfNeeded: word))
      little(UInt32(word >> 32))
    }
    for page in some {
      guard let contents = page.contents else { continue }
      pages.append((page.pfn, bytes.count))
      bytes += contents
    }
  }

  /// A record, padded to 8 bytes.
  private mutating func record(_ type: UInt32, _ body: [UInt8]) {
    little(type)
    little(UInt32(body.count))
    bytes += body + Array(repeating: 0, count: (8 - body.count % 8) % 8)
  }

  private mutating func little(_ word: UInt32) {
    withUnsafeBytes(of: word.littleEndian) { bytes += $0 }
  }
}
