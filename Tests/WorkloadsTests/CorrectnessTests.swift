// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import Workloads

/// Each workload finds its own data right, and anything else wrong.
@Suite struct Correctness {
  /// Runs a workload on a few pages, changes memory before the end as `damage` says, and verifies.
  private func run<W: Workload & ~Copyable>(
    _ type: W.Type, pages: Int = 24, passes: Int = 2, seed: UInt64 = 7, compressible: Bool = false,
    damage: (UnsafeMutablePointer<UInt64>) -> Void = { _ in }
  ) throws {
    let memory = try MappedMemory(pages: pages, hugePages: false)
    let words = memory.words
    var workload = W(memory, seed: seed, compressible: compressible)
    var meter = Meter()
    workload.fill(&meter)
    for pass in 0..<passes { try workload.work(pass: pass, &meter) }
    damage(words)
    try workload.verify(&meter)
    withExtendedLifetime(workload) {}
  }

  private func run(
    _ kind: WorkloadKind, pages: Int = 24, passes: Int = 2, compressible: Bool = false,
    damage: (UnsafeMutablePointer<UInt64>) -> Void = { _ in }
  ) throws {
    func run<W: Workload & ~Copyable>(_ type: W.Type) throws {
      try self.run(type, pages: pages, passes: passes, compressible: compressible, damage: damage)
    }
    switch kind {
    case .quicksort: try run(Quicksort.self)
    case .seqread: try run(SequentialRead.self)
    case .seqwrite: try run(SequentialWrite.self)
    case .stride: try run(Strided.self)
    case .hash: try run(HashTable.self)
    }
  }

  @Test(arguments: WorkloadKind.allCases, [1, 2, 16, 17, 18, 100])
  func rightDataIsRight(kind: WorkloadKind, pages: Int) throws {
    try run(kind, pages: pages, passes: 3)
    try run(kind, pages: pages, passes: 3, compressible: true)
  }

  /// How many bytes `gzip -1`, no stronger than zram's compressors, makes of a run's memory.
  private func compressedBytes(_ kind: WorkloadKind, compressible: Bool) throws -> Int {
    let image = "/tmp/memx-image-\(UUID().uuidString)"
    defer { unlink(image) }
    try run(kind, passes: 1, compressible: compressible) { words in
      let bytes = Data(bytes: words, count: 24 * pageBytes)
      #expect(FileManager.default.createFile(atPath: image, contents: bytes))
    }
    let gzip = Process()
    gzip.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    gzip.arguments = ["gzip", "-1", "-c", image]
    let output = Pipe()
    gzip.standardOutput = output
    try gzip.run()
    let bytes = output.fileHandleForReading.readDataToEndOfFile().count
    gzip.waitUntilExit()
    #expect(gzip.terminationStatus == 0)
    return bytes
  }

  @Test(arguments: WorkloadKind.allCases) func compressesAsItIsTold(kind: WorkloadKind) throws {
    #expect(try compressedBytes(kind, compressible: true) < 24 * pageBytes / 3)
    // A quarter of a hash table is empty.
    let share = kind == .hash ? 0.7 : 0.8
    let incompressible = try compressedBytes(kind, compressible: false)
    #expect(Double(incompressible) > share * Double(24 * pageBytes))
  }

  @Test(arguments: WorkloadKind.allCases) func aFlippedBitInCompressibleDataIsFound(
    kind: WorkloadKind
  ) {
    for bit in 0..<64 {
      #expect(throws: WrongData.self) {
        try run(kind, compressible: true) { words in
          // The entries of the table are eight words long; every copy of a value counts.
          var word = 3 * pageWords + 8 * bit
          while words[word + 1] == 0 { word += 8 }
          words[word + bit % 8] ^= 1 << UInt64(bit)
        }
      }
    }
  }

  @Test(arguments: WorkloadKind.allCases) func aFlippedBitIsFound(kind: WorkloadKind) {
    for bit in 0..<64 {
      #expect(throws: WrongData.self) {
        try run(kind) { words in
          // An empty slot's key is nothing that was stored, so take a slot in use.
          var word = 3 * pageWords + bit
          while words[word | 1] == 0 { word += 2 }
          words[word] ^= 1 << UInt64(bit)
        }
      }
    }
  }

  @Test(arguments: WorkloadKind.allCases) func aPageOfZerosIsFound(kind: WorkloadKind) {
    #expect(throws: WrongData.self) {
      try run(kind) { words in (words + 5 * pageWords).update(repeating: 0, count: pageWords) }
    }
  }

  @Test(arguments: WorkloadKind.allCases) func aPageInAnothersPlaceIsFound(kind: WorkloadKind) {
    #expect(throws: WrongData.self) {
      try run(kind) { words in
        (words + 5 * pageWords).update(from: words + 6 * pageWords, count: pageWords)
      }
    }
  }

  /// The mistake that a swap device makes most easily: a page comes back as it once was.
  @Test func anEarlierVersionIsFound() throws {
    func stale<W: Workload & ~Copyable>(_ type: W.Type) throws {
      let memory = try MappedMemory(pages: 8, hugePages: false)
      let words = memory.words
      var workload = W(memory, seed: 1, compressible: false)
      var meter = Meter()
      workload.fill(&meter)
      let old = Array(UnsafeBufferPointer(start: words + 2 * pageWords, count: pageWords))
      try workload.work(pass: 0, &meter)
      for (index, word) in old.enumerated() { words[2 * pageWords + index] = word }
      #expect(throws: WrongData.self) { try workload.verify(&meter) }
    }
    try stale(SequentialWrite.self)
    try stale(Strided.self)
    try stale(HashTable.self)
    try stale(Quicksort.self)
  }

  @Test func wrongDataIsNamedByItsPlace() {
    #expect {
      try run(.seqread) { words in words[2 * pageWords + 5] = 0 }
    } throws: {
      "\($0)".hasPrefix("page 2, byte 40: expected 0x") && "\($0)".hasSuffix(", found 0x0")
    }
  }

  @Test func theSameSeedLeavesTheSameBytes() throws {
    for kind in WorkloadKind.allCases {
      var images: [[UInt64]] = []
      for _ in 0..<2 {
        try run(kind) { words in
          images.append(Array(UnsafeBufferPointer(start: words, count: 24 * pageWords)))
        }
      }
      #expect(images[0] == images[1])
    }
  }

  /// Orders that trip naive quicksorts: sorted, reversed, all equal, two values, an organ pipe.
  @Test func quicksortSortsWhatTripsOthers() throws {
    let words = 6 * pageWords
    let orders: [(Int) -> UInt64] = [
      { UInt64($0) }, { UInt64(words - $0) }, { _ in 5 }, { UInt64($0 & 1) },
      { UInt64(min($0, words - $0)) }, { _ in .max }, { UInt64($0 % 25) },
    ]
    for order in orders {
      let memory = try MappedMemory(pages: 6, hugePages: false)
      let base = memory.words
      var quicksort = Quicksort(memory, seed: 1, compressible: false)
      var meter = Meter()
      for index in 0..<words { base[index] = order(index) }
      try quicksort.work(pass: 0, &meter)
      let found = Array(UnsafeBufferPointer(start: base, count: words))
      #expect(found == (0..<words).map(order).sorted())
      withExtendedLifetime(quicksort) {}
    }
  }
}
