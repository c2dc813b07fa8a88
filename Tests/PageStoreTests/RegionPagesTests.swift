// SPDX-License-Identifier: Apache-2.0
import PageStore
import RMAP
import TestSupport
import Testing

private let mebibyte = 1 << 20

@Suite struct RegionPagesTests {
  private let name = RegionName("a")!

  @Test func anUnwrittenSlotReadsAsZeros() throws {
    let arena = try Arena(byteCount: 4 * mebibyte)
    let pages = try TestRegion(name, slots: 10, quota: 10, arena: arena)
    #expect(pages.content(3) == .zeros)
    #expect(pages.stored == 0)
  }

  @Test func aClearedSlotReadsAsZerosAndItsMemoryComesBack() throws {
    let arena = try Arena(byteCount: 8 * mebibyte)
    let pages = try TestRegion(name, slots: 2000, quota: 2000, arena: arena)
    let free = arena.freeChunks
    for slot in 0..<UInt64(1500) { #expect(pages.write(slot, 7)) }
    #expect(arena.freeChunks == free - 3)
    pages.clear(0, count: 2000)
    pages.reclaim()
    #expect(pages.stored == 0)
    #expect(pages.content(1499) == .zeros)
    // One empty chunk is kept.
    #expect(arena.freeChunks == free - 1)
  }

  @Test func aReplacedPageStaysUntilReclaim() throws {
    let arena = try Arena(byteCount: 4 * mebibyte)
    let pages = try TestRegion(name, slots: 10, quota: 10, arena: arena)
    #expect(pages.write(1, 5))
    let former = try #require(pages.address(1))
    #expect(pages.write(1, 6))
    pages.clear(1, count: 1)
    for slot in 2..<UInt64(9) { #expect(pages.write(slot, 9)) }
    #expect(former.load(as: UInt64.self) == 5)
  }

  @Test func stagedPagesCountAgainstTheQuota() throws {
    let arena = try Arena(byteCount: 4 * mebibyte)
    let pages = try TestRegion(name, slots: 10, quota: 3, arena: arena)
    #expect(pages.write(0, 1))
    let first = try #require(pages.stage(1))
    let second = try #require(pages.stage(2))
    #expect(pages.stage(3) == nil)
    pages.abandon(second)
    let third = try #require(pages.stage(3))
    pages.commit(1, page: first, hashes: PageHashes())
    pages.commit(3, page: third, hashes: PageHashes())
    #expect(pages.stored == 3)
    #expect(pages.stage(4) == nil)
    // A page that replaces another needs no room.
    #expect(pages.write(3, 8))
    #expect(pages.stored == 3)
  }

  @Test func aReplacementWhoseSlotIsClearedTakesRoomAgain() throws {
    let arena = try Arena(byteCount: 4 * mebibyte)
    let pages = try TestRegion(name, slots: 10, quota: 1, arena: arena)
    #expect(pages.write(0, 1))
    let replacement = try #require(pages.stage(0))
    pages.clear(0, count: 1)
    #expect(pages.stage(1) == nil)
    pages.commit(0, page: replacement, hashes: PageHashes())
    #expect(pages.stored == 1)
  }

  @Test func aRegionNeverSeesAnothersBytes() throws {
    let arena = try Arena(byteCount: 2 * mebibyte)
    let a = try TestRegion(RegionName("a")!, slots: 512, quota: 512, arena: arena)
    for slot in 0..<UInt64(512) { #expect(a.write(slot, 0x5EC2_E7)) }
    let b = try TestRegion(RegionName("b")!, slots: 512, quota: 512, arena: arena)
    #expect(b.stage(0) == nil, "the arena is used up")
    a.clear(0, count: 512)
    a.reclaim()
    // A keeps one empty chunk; a second one, taken and given back, makes it give up the first.
    #expect(arena.freeChunks == 0)
    let larger = try Arena(byteCount: 4 * mebibyte)
    let c = try TestRegion(RegionName("c")!, slots: 1024, quota: 1024, arena: larger)
    for slot in 0..<UInt64(1024) { #expect(c.write(slot, 0x5EC2_E7)) }
    c.clear(0, count: 1024)
    c.reclaim()
    #expect(larger.freeChunks == 1)
    let d = try TestRegion(RegionName("d")!, slots: 512, quota: 512, arena: larger)
    for slot in 0..<UInt64(512) {
      let page = try #require(d.stage(slot))
      #expect(isZero(page.bytes), "slot \(slot) shows another region's bytes")
      d.commit(slot, page: page, hashes: PageHashes())
    }
  }

  @Test func refusesAnEarlierIncarnationOncePagesOfAnotherAreThere() throws {
    let arena = try Arena(byteCount: 2 * mebibyte)
    let pages = try TestRegion(name, slots: 10, quota: 10, arena: arena)
    #expect(pages.write(1, 4))
    #expect(throws: Refusal.self) { try pages.settle(incarnation: pages.incarnation &+ 1) }
    #expect(pages.content(1) == .word(4))
    #expect(pages.content(0) == .zeros, "the client that has the region lost nothing")
  }

  @Test func losesWhatAnEarlierIncarnationHad() throws {
    let arena = try Arena(byteCount: 2 * mebibyte)
    let pages = try TestRegion(name, slots: 10, quota: 10, arena: arena)
    #expect(try !pages.settle(incarnation: 0))
    #expect(try !pages.settle(incarnation: pages.incarnation))
    #expect(try pages.settle(incarnation: pages.incarnation &+ 1))
    #expect(pages.content(0) == .lost)
    pages.clear(0, count: 1)
    #expect(pages.content(0) == .zeros)
    #expect(pages.write(1, 4))
    #expect(pages.content(1) == .word(4))
    #expect(try !pages.settle(incarnation: 0))
    #expect(pages.content(2) == .lost, "there still is a page of that client's")
    pages.clear(0, count: 10)
    #expect(try !pages.settle(incarnation: 0))
    #expect(pages.content(2) == .zeros)
  }

  @Test(arguments: UInt64(1)...40)
  func agreesWithTheModel(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let slots = UInt64.random(in: 1...1500, using: &random)
    let quota = Int.random(in: 1...Int(slots), using: &random)
    let chunks = Int.random(in: 1...5, using: &random)
    let arena = try Arena(byteCount: chunks * 2 * mebibyte)
    let pages = try TestRegion(name, slots: slots, quota: quota, arena: arena)
    var model: [UInt64: UInt64] = [:]
    var staged: [(slot: UInt64, page: StagedPage, word: UInt64)] = []
    for step in 0..<4000 {
      let slot = UInt64.random(in: 0..<slots, using: &random)
      switch Int.random(in: 0..<100, using: &random) {
      case 0..<50:
        let word = UInt64.random(in: 1 ... .max, using: &random)
        guard let page = pages.stage(slot) else {
          let isFull = model.count + staged.count >= quota || arena.freeChunks == 0
          #expect(isFull || staged.count >= 512, "seed \(seed) step \(step): refused in vain")
          // A refused write must be possible again once pages go.
          if let old = staged.popLast() { pages.abandon(old.page) }
          continue
        }
        fill(page.bytes, word)
        staged.append((slot, page, word))
      case 50..<80:
        guard !staged.isEmpty else { continue }
        let index = Int.random(in: 0..<staged.count, using: &random)
        let one = staged.remove(at: index)
        #expect(isFilled(one.page.bytes, one.word), "seed \(seed) step \(step)")
        pages.commit(one.slot, page: one.page, hashes: PageHashes(whole: one.word))
        model[one.slot] = one.word
      case 80..<84:
        guard !staged.isEmpty else { continue }
        pages.abandon(staged.remove(at: Int.random(in: 0..<staged.count, using: &random)).page)
      case 84..<90:
        let count = Int.random(in: 1...min(64, Int(slots - slot)), using: &random)
        pages.clear(slot, count: count)
        for cleared in slot..<slot + UInt64(count) { model[cleared] = nil }
      case 90..<91:
        pages.clear(0, count: Int(slots))
        model.removeAll()
      case 91..<96: pages.reclaim()
      default:
        switch pages.content(slot) {
        case .word(let word): #expect(model[slot] == word, "seed \(seed) step \(step)")
        case .zeros: #expect(model[slot] == nil, "seed \(seed) step \(step)")
        case let other: Issue.record("seed \(seed) step \(step): \(other)")
        }
      }
      #expect(pages.stored == model.count, "seed \(seed) step \(step)")
      #expect(pages.stored <= quota, "seed \(seed) step \(step)")
      let limit = ((quota + 511) / 512 + 2) * 2 * mebibyte
      #expect(pages.reservedBytes <= limit, "seed \(seed) step \(step)")
      #expect(
        pages.reservedBytes / (2 * mebibyte) + arena.freeChunks == arena.chunkCount,
        "seed \(seed) step \(step)")
    }
    for (slot, word) in model { #expect(pages.content(slot) == .word(word)) }
  }
}
