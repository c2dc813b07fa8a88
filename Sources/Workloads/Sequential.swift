// SPDX-License-Identifier: Apache-2.0

/// Writes every page once and reads them all, in order, at each pass.
public struct SequentialRead: Workload, ~Copyable {
  private let memory: MappedMemory
  private let pattern: PagePattern

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
    for page in 0..<memory.pages {
      try pattern.check(page: page, version: 0, in: memory.words + page * pageWords, &meter)
      meter.advance(1)
    }
  }

  public mutating func verify(_ meter: inout Meter) throws(WrongData) {
    try work(pass: 0, &meter)
  }
}

/// Writes every page, in order, at each pass, and reads them all at the end.
public struct SequentialWrite: Workload, ~Copyable {
  private let memory: MappedMemory
  private let pattern: PagePattern
  private var version = 0

  public static func units(pages: Int, passes: Int) -> Int { pages * (passes + 2) }

  public init(_ memory: consuming MappedMemory, seed: UInt64, compressible: Bool) {
    self.memory = memory
    pattern = PagePattern(seed: seed, compressible: compressible)
  }

  public mutating func fill(_ meter: inout Meter) { writeAll(&meter) }

  public mutating func work(pass: Int, _ meter: inout Meter) throws(WrongData) {
    version = pass + 1
    writeAll(&meter)
  }

  public mutating func verify(_ meter: inout Meter) throws(WrongData) {
    for page in 0..<memory.pages {
      try pattern.check(
        page: page, version: version, in: memory.words + page * pageWords, &meter)
      meter.advance(1)
    }
  }

  private mutating func writeAll(_ meter: inout Meter) {
    for page in 0..<memory.pages {
      pattern.write(page: page, version: version, to: memory.words + page * pageWords, &meter)
      meter.advance(1)
    }
  }
}
