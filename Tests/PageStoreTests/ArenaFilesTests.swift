// SPDX-License-Identifier: Apache-2.0
import Foundation
import PageStore
import RMAP
import SystemPackage
import TestSupport
import Testing

private let mebibyte = 1 << 20

/// An arena in files: what a server that starts again finds.
@Suite struct ArenaFilesTests {
  private let directory: TemporaryDirectory
  private let a = RegionName("a")!
  private let boot = BootID(high: 1, low: 2)
  private let nextBoot = BootID(high: 3, low: 4)

  init() throws { directory = try TemporaryDirectory() }

  private func open(mebibytes: Int = 8, boot: BootID? = nil) throws -> Arena {
    try Arena(
      byteCount: mebibytes * mebibyte, directory: FilePath(directory.path + "/arena"),
      bootID: boot ?? self.boot)
  }

  private func region(_ arena: Arena, slots: UInt64 = 1000, quota: Int? = nil) throws -> TestRegion
  {
    try TestRegion(a, slots: slots, quota: quota ?? Int(slots), arena: arena)
  }

  /// Stores a page in the first `count` slots, and ends as a process that is killed does.
  private func leave(_ count: Int = 700, clean: Bool = false) throws -> UInt64 {
    let arena = try open()
    let pages = try region(arena)
    arena.beginUse()
    for slot in 0..<UInt64(count) { #expect(pages.write(slot, slot + 1)) }
    if clean {
      pages.synchronize()
      arena.closeCleanly()
    }
    return pages.incarnation
  }

  @Test func pagesSurviveAProcessThatIsKilled() throws {
    let incarnation = try leave()
    let arena = try open()
    let pages = try region(arena)
    #expect(pages.incarnation == incarnation)
    #expect(pages.stored == 700)
    #expect(arena.freeChunks == arena.chunkCount - 2)
    for slot in 0..<UInt64(700) { #expect(pages.content(slot) == .word(slot + 1)) }
    #expect(pages.content(700) == .zeros)
    // And the region goes on as if nothing had been.
    for slot in 700..<UInt64(1000) { #expect(pages.write(slot, slot + 1)) }
    for slot in 0..<UInt64(1000) { #expect(pages.content(slot) == .word(slot + 1)) }
    #expect(arena.freeChunks == arena.chunkCount - 2)
    pages.clear(0, count: 1000)
    pages.reclaim()
    #expect(arena.freeChunks == arena.chunkCount - 1)
  }

  @Test func pagesSurviveARebootAfterACleanEnd() throws {
    let incarnation = try leave(clean: true)
    let pages = try region(open(boot: nextBoot))
    #expect(pages.incarnation == incarnation)
    #expect(pages.content(5) == .word(6))
  }

  @Test func aRebootWithoutACleanEndMakesANewIncarnation() throws {
    let incarnation = try leave()
    let pages = try region(open(boot: nextBoot))
    #expect(pages.incarnation != incarnation)
    #expect(pages.stored == 0)
    #expect(try pages.settle(incarnation: incarnation))
    #expect(pages.content(5) == .lost)
  }

  @Test func useAfterACleanEndCountsAsUnclean() throws {
    let incarnation = try leave(clean: true)
    try open(boot: nextBoot).beginUse()
    let pages = try region(open(boot: BootID(high: 9, low: 9)))
    #expect(pages.incarnation != incarnation)
  }

  @Test func aRefusedStartTakesNothingFromACleanEnd() throws {
    let incarnation = try leave(clean: true)
    #expect(throws: StoreError.self) { try region(open(boot: nextBoot), slots: 999) }
    let pages = try region(open(boot: BootID(high: 9, low: 9)))
    #expect(pages.incarnation == incarnation)
  }

  @Test func anotherSizeIsRefused() throws {
    _ = try leave()
    #expect(message { try open(mebibytes: 10) }.contains("holds an arena of 8 MiB, not of 10 MiB"))
  }

  @Test func anotherRegionSizeIsRefusedAndHarmsNothing() throws {
    do {
      let arena = try Arena(
        byteCount: 8 * mebibyte, directory: FilePath(directory.path + "/arena"), bootID: boot)
      let pages = try TestRegion(a, slots: 3_000_000, quota: 100, arena: arena)
      #expect(pages.write(2_999_999, 77))
    }
    let text = message { _ = try region(open(), slots: 1000) }
    #expect(text.contains("region a has 3000000 slots in the arena's files, not 1000"))
    let pages = try TestRegion(a, slots: 3_000_000, quota: 100, arena: open())
    #expect(pages.content(2_999_999) == .word(77))
  }

  @Test func aLowerQuotaKeepsThePagesThereAre() throws {
    _ = try leave(1000)
    let pages = try region(open(), quota: 10)
    #expect(pages.stored == 1000)
    // A page that replaces another needs no room.
    pages.abandon(try #require(pages.stage(0)))
    pages.clear(0, count: 1000)
    pages.reclaim()
    for slot in 0..<UInt64(10) { #expect(pages.write(slot, 1)) }
    #expect(pages.stage(10) == nil)
  }

  @Test func aSecondUserIsRefused() throws {
    let first = try open()
    #expect(message { try open() }.contains("another process has this arena open"))
    withExtendedLifetime(first) {}
  }

  @Test func aRegionSeesNothingOfOneThatIsGone() throws {
    _ = try leave()
    try FileManager.default.removeItem(atPath: directory.path + "/arena/a.slots")
    let arena = try open()
    #expect(arena.freeChunks == arena.chunkCount)
    let other = try TestRegion(RegionName("b")!, slots: 1000, quota: 1000, arena: arena)
    for slot in 0..<UInt64(1000) {
      let page = try #require(other.stage(slot))
      #expect(isZero(page.bytes))
      other.commit(slot, page: page, hashes: PageHashes())
    }
  }

  @Test(arguments: ["magic", "arena", "short", "tiny", "range", "twice", "shared"])
  func aDamagedSlotMapIsRefused(damage: String) throws {
    _ = try leave(3)
    let path = directory.path + "/arena/a.slots"
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
    func put(_ value: UInt64, at offset: UInt64, bytes: Int = 8) throws {
      try file.seek(toOffset: offset)
      try file.write(contentsOf: withUnsafeBytes(of: value) { Data($0.prefix(bytes)) })
    }
    let expected: String
    switch damage {
    case "magic":
      try put(12345, at: 0)
      expected = "is damaged: it is not a slot map"
    case "arena":
      try put(12345, at: 8)
      expected = "is of another arena"
    case "short":
      try file.truncate(atOffset: 4096 + 400)
      expected = "is damaged: it has 4496 bytes, too few for 1000 slots"
    case "tiny":
      try file.truncate(atOffset: 100)
      expected = "is damaged: it has 100 bytes"
    case "range":
      try put(4_000_000_000, at: 4096 + 4 * 900, bytes: 4)
      expected = "is damaged: it names frame 3999999999, behind the arena's end"
    case "twice":
      try put(1, at: 4096 + 4 * 900, bytes: 4)
      expected = "is damaged: frame 0 is in use twice"
    default:
      // A copy under another name, in which the frames are others of the same chunk.
      for slot in UInt64(0)..<3 { try put(UInt64(500 + slot), at: 4096 + 4 * slot, bytes: 4) }
      let copy = directory.path + "/arena/z.slots"
      try FileManager.default.copyItem(atPath: path, toPath: copy)
      for slot in UInt64(0)..<3 { try put(UInt64(1 + slot), at: 4096 + 4 * slot, bytes: 4) }
      expected = "is damaged: it shares memory with another region"
    }
    try file.close()
    #expect(message { try open() }.contains(expected), "got: \(message { try open() })")
  }

  @Test(arguments: ["frames", "hashes"])
  func aMissingFileIsRefused(file: String) throws {
    _ = try leave()
    try FileManager.default.removeItem(atPath: directory.path + "/arena/" + file)
    #expect(message { try open() }.contains("\(file): is damaged: it should have"))
  }

  @Test func aForeignHeaderIsRefused() throws {
    let path = directory.path + "/arena"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    try Data("someone's file".utf8).write(to: URL(fileURLWithPath: path + "/arena"))
    #expect(message { try open() }.contains("is not an arena's header"))
  }

  @Test func aDirectoryThatCannotBeIsRefused() {
    #expect(
      message { try Arena(byteCount: 1, directory: "/proc/no/such", bootID: boot) }
        .contains("cannot make the arena's directory /proc/no/such"))
  }

  private func message(_ body: () throws -> some Any) -> String {
    do {
      _ = try body()
      return "no error"
    } catch { return "\(error)" }
  }
}
