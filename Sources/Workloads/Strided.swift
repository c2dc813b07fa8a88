// SPDX-License-Identifier: Apache-2.0

/// Reads and rewrites every page at each pass, in steps of 17 pages: two windows of the kernel's
/// usual swap readahead of 8 pages and one more, so that readahead helps nobody.
public struct Strided: Workload, ~Copyable {
  private static let strideInPages = 17
  private let memory: MappedMemory
  private let pattern: PagePattern
  private var version = 0

  public static func units(pages: Int, passes: Int) -> Int { pages * (passes + 2) }

  public init(_ memory: consuming MappedMemory, seed: UInt64, compressible: Bool) {
    self.memory = memory
    pattern = PagePattern(seed: seed, compressible: compressible)
  }

  public mutating func fill(_ meter: inout Meter) {
    for page in 0..<memory.pages {
      pattern.write(page: page, version: 0, to: memory.words + page * pageWords, &meter)
      meter.advance(1)
    }
  }

  public mutating func work(pass: Int, _ meter: inout Meter) throws(WrongData) {
    for first in 0..<min(Self.strideInPages, memory.pages) {
      for page in stride(from: first, to: memory.pages, by: Self.strideInPages) {
        let words = memory.words + page * pageWords
        try pattern.check(page: page, version: version, in: words, &meter)
        pattern.write(page: page, version: version + 1, to: words, &meter)
        meter.advance(1)
      }
    }
    version += 1
  }

  public mutating func verify(_ meter: inout Meter) throws(WrongData) {
    for page in 0..<memory.pages {
      try pattern.check(
        page: page, version: version, in: memory.words + page * pageWords, &meter)
      meter.advance(1)
    }
  }
}
