// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import Workloads

@Suite struct PageTraces {
  @Test func readsWhatWasWritten() throws {
    let touches: [(page: Int, writes: Bool, instructions: Int)] = [
      (3, true, 0), (0, false, 127), (2, true, 128), (1, false, Int(Int32.max)), (3, false, 16384),
    ]
    let trace = try PageTrace(traceFile(pages: 4, touches: touches))
    #expect(trace.pages == 4)
    #expect(
      trace.touches
        == touches.map {
          PageTrace.Touch(page: $0.page, writes: $0.writes, instructions: $0.instructions)
        })
  }

  /// Fields that lie behind a right checksum.
  @Test(
    arguments: [
      (1, 1, 1, [1]), (1, 1, 1, [1, 0, 0]), (1, 1, 1, []), (1, 1, 2, [1, 0]),
      (1, 2, 2, [0, 0, 0, 0]),
      (1, 2, 1, [0, 0]), (1, 0, 0, []), (1, 1, 1, [4, 0]), (1, 1, 1, [2, 0]), (2, 1, 1, [1, 0]),
      (1, 1, 1, [0, 0x80]), (1, 1, 1, [0, 0x80, 0]), (1, 1, 1, [0, 0xff, 0xff, 0xff, 0xff, 8]),
      (1, 1, 1, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0]),
      (1, 1, 1, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0]),
      (1, 1 << 30, 1, [0, 0]), (1, 1, 1 << 30, [0, 0]),
    ] as [(Int, Int, Int, [UInt8])])
  func refusesWhatDoesNotFit(version: Int, pages: Int, touches: Int, body: [UInt8]) throws {
    #expect(throws: BadProgram.self) {
      try PageTrace(traceFile(version: version, pages: pages, touches: touches, body: body))
    }
  }

  @Test func refusesAnyTruncationAndAnyFlippedBit() throws {
    let file = madeUpTrace(pages: 20, touches: 60, seed: 1)
    _ = try PageTrace(file)
    for length in 0..<file.count {
      #expect(throws: BadProgram.self) { try PageTrace(Array(file[..<length])) }
    }
    for bit in 0..<(file.count * 8) {
      var damaged = file
      damaged[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(throws: BadProgram.self) { try PageTrace(damaged) }
    }
  }

  /// Bodies of any bytes under a right checksum: a trace that holds what it says, or an error.
  @Test func anyBodyIsReadOrRefused() throws {
    var accepted = 0
    for seed in 1...20_000 as ClosedRange<UInt64> {
      var random = SplitMix64(seed: seed)
      let pages = 1 + Int(random.next() % 3)
      let touches = pages + Int(random.next() % 3)
      let body = (0..<(touches * 2 + Int(random.next() % 2))).map { _ in
        random.next() & 7 == 0
          ? UInt8(truncatingIfNeeded: random.next()) : UInt8(random.next() % 6)
      }
      do throws(BadProgram) {
        let trace = try PageTrace(traceFile(pages: pages, touches: touches, body: body))
        accepted += 1
        #expect(trace.pages == pages && trace.touches.count == touches, "seed \(seed)")
        #expect(Set(trace.touches.map(\.page)) == Set(0..<pages), "seed \(seed)")
      } catch {
      }
    }
    #expect(accepted > 100)
  }

  /// The recorded traces of the repository.
  @Test(arguments: ["sqlite", "xz", "cc1"]) func recordedTracesReplay(name: String) throws {
    let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let file = try #require(fopen("/\(root)/tools/traces/\(name).trace", "rb"))
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    bytes.removeLast(bytes.count - fread(&bytes, 1, bytes.count, file))
    let trace = try PageTrace(bytes)
    #expect(trace.pages >= 256 && trace.touches.count >= 4 * trace.pages)
    var program = try MovableKind.trace.make(
      MovableParameters(pages: 1, seed: 1), trace: trace)
    let memory = try MappedMemory(pages: program.pages, hugePages: false)
    #expect(try program.run(memory.base, steps: .max))
    try program.verify(memory.base)
  }
}
