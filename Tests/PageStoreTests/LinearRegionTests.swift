// SPDX-License-Identifier: Apache-2.0
import Foundation
import PageStore
import RMAP
import SystemPackage
import TestSupport
import Testing

private let mebibyte = 1 << 20

/// Regions whose slots lie one behind the other.
@Suite struct LinearRegionTests {
  private let name = RegionName("a")!

  @Test func slotsStayWhereTheyAre() throws {
    let arena = try Arena(byteCount: 8 * mebibyte)
    let pages = try TestRegion(name, slots: 700, quota: 700, arena: arena, isLinear: true)
    let memory = try #require(pages.linearMemory)
    #expect(memory.count == 700 * Wire.pageBytes)
    #expect(memory.allSatisfy { $0 == 0 })
    // More often than there are frames beside the region's.
    for round in 1...10 {
      for slot in 0..<UInt64(700) { #expect(pages.write(slot, slot + UInt64(round))) }
      pages.reclaim()
    }
    for slot in 0..<UInt64(700) {
      #expect(pages.address(slot) == UnsafeRawPointer(memory.baseAddress! + Int(slot) * 4096))
      #expect(pages.content(slot) == .word(slot + 10))
    }
    #expect(pages.stored == 700)
  }

  @Test func clearedSlotsReadAsZeros() throws {
    let arena = try Arena(byteCount: 8 * mebibyte)
    let pages = try TestRegion(name, slots: 20, quota: 20, arena: arena, isLinear: true)
    for slot in 0..<UInt64(20) { #expect(pages.write(slot, 7)) }
    pages.clear(5, count: 10)
    #expect((0..<UInt64(20)).allSatisfy { pages.content($0) == .word((5..<15) ~= $0 ? 0 : 7) })
    #expect(throws: Refusal.self) { try pages.settle(incarnation: pages.incarnation &+ 1) }
  }

  @Test func regionsShareNothing() throws {
    let arena = try Arena(byteCount: 12 * mebibyte)
    let first = try TestRegion(name, slots: 600, quota: 600, arena: arena, isLinear: true)
    let other = try TestRegion(
      RegionName("b")!, slots: 600, quota: 600, arena: arena, isLinear: true)
    let (one, two) = (try #require(first.linearMemory), try #require(other.linearMemory))
    #expect(
      one.baseAddress! + one.count <= two.baseAddress!
        || two.baseAddress! + two.count <= one.baseAddress!)
    // 12 MiB are 6 chunks, of which 4 are gone.
    #expect(arena.freeChunks == 2)
    #expect(throws: StoreError.self) {
      try TestRegion(RegionName("c")!, slots: 1025, quota: 1025, arena: arena, isLinear: true)
    }
  }

  @Test func filesKeepThem() throws {
    let directory = try TemporaryDirectory()
    func open() throws -> Arena {
      try Arena(
        byteCount: 8 * mebibyte, directory: FilePath(directory.path + "/arena"),
        bootID: BootID(high: 1, low: 2))
    }
    func region(_ arena: Arena, isLinear: Bool = true) throws -> TestRegion {
      try TestRegion(name, slots: 600, quota: 600, arena: arena, isLinear: isLinear)
    }
    do {
      let arena = try open()
      let pages = try region(arena)
      arena.beginUse()
      // As a client does over RDMA: nobody tells the region.
      let memory = try #require(pages.linearMemory)
      for slot in 0..<600 { fill(memory.baseAddress! + slot * Wire.pageBytes, UInt64(slot + 1)) }
    }
    do {
      let pages = try region(try open())
      for slot in 0..<UInt64(600) { #expect(pages.content(slot) == .word(slot + 1)) }
    }
    do {
      // One that need not be linear is free to move pages, and cannot go back.
      let pages = try region(try open(), isLinear: false)
      #expect(pages.content(599) == .word(600))
      #expect(pages.write(3, 9))
    }
    #expect(throws: StoreError.self) { try region(try open()) }
  }
}
