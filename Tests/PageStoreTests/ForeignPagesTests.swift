// SPDX-License-Identifier: Apache-2.0
import RMAP
import TestSupport
import Testing

@Suite struct ForeignPagesTests {
  private let guest = GuestFrames(domain: 3)

  @Test func everySlotHasItsPage() throws {
    // Leaves of the first directory, its last slot, and one in the third.
    let slots = [0, 1, 511, 512, 1500, 512 * 512 - 1, 2 * 512 * 512 + 5]
    let pages = Dictionary(uniqueKeysWithValues: slots.map { ($0, UInt64($0) + 77) })
    let tree = guest.makeTree(slots: 3 * 512 * 512, pages: pages)
    let store = try TestForeignPages(tree, guest)
    #expect(store.stored == slots.count)
    #expect(store.incarnation == tree.generation)
    #expect(store.slots == 3 * 512 * 512)
    for slot in slots { #expect(store.content(UInt64(slot)) == .word(UInt64(slot) + 77)) }
    #expect(store.content(2) == .zeros)
    #expect(store.content(3 * 512 * 512 - 1) == .zeros)
    #expect(
      store.readableRuns == [
        0..<2, 511..<513, 1500..<1501, 512 * 512 - 1..<512 * 512,
        2 * 512 * 512 + 5..<2 * 512 * 512 + 6,
      ])
  }

  @Test func mapsManyFramesACall() throws {
    let pages = Dictionary(uniqueKeysWithValues: (0..<2048).map { ($0 * 2, UInt64($0)) })
    let tree = guest.makeTree(slots: 4096, pages: pages)
    let store = try TestForeignPages(tree, guest)
    #expect(store.stored == 2048)
    #expect(guest.mappedCount == 2048, "the tables are not kept mapped")
    // The root, a directory, its eight leaves, and four batches of 512 frames.
    #expect(guest.calls == 1 + 1 + 1 + 4)
  }

  @Test func lastsAsLongAsItsFrames() throws {
    let tree = guest.makeTree(slots: 1000, pages: [0: 1, 999: 2])
    var store: TestForeignPages? = try TestForeignPages(tree, guest)
    guest.destroy()
    #expect(store?.content(999) == .word(2), "what is mapped stays")
    store = nil
    #expect(guest.mappedCount == 0)
  }

  @Test func anEmptyTreeIsAllZeros() throws {
    let store = try TestForeignPages(guest.makeTree(slots: 10, pages: [:]), guest)
    #expect(store.stored == 0)
    #expect(store.content(9) == .zeros)
    #expect(store.readableRuns == [])
    #expect(guest.mappedCount == 0)
  }

  @Test func aDiscardedSlotReadsAsZeros() throws {
    let pages = Dictionary(uniqueKeysWithValues: (0..<20).map { ($0, UInt64($0) + 1) })
    let store = try TestForeignPages(guest.makeTree(slots: 20, pages: pages), guest)
    store.clear(3, count: 5)
    store.clear(3, count: 5)
    #expect(store.stored == 15)
    #expect(store.content(3) == .zeros)
    #expect(store.content(8) == .word(9))
    #expect(store.readableRuns == [0..<3, 8..<20])
  }

  @Test func aFrameThatCannotBeMappedFailsItsSlotAlone() throws {
    let pages = Dictionary(uniqueKeysWithValues: (0..<600).map { ($0, UInt64($0) + 1) })
    let tree = guest.makeTree(slots: 600, pages: pages)
    for slot in [0, 550] { guest.release(tree.frames[slot]!) }
    let store = try TestForeignPages(tree, guest)
    #expect(store.content(0) == .unreadable)
    #expect(store.content(550) == .unreadable)
    #expect(store.content(549) == .word(550))
    #expect((store.stored, store.unreadable, store.lastError) == (600, 2, 22))
    #expect(store.readableRuns == [1..<550, 551..<600])
    store.clear(0, count: 1)
    #expect(store.content(0) == .zeros)
    #expect((store.stored, store.unreadable) == (599, 1))
  }

  @Test func knowsOneIncarnation() throws {
    let store = try TestForeignPages(guest.makeTree(slots: 10, pages: [1: 1]), guest)
    #expect(try !store.settle(incarnation: 0))
    #expect(try !store.settle(incarnation: store.incarnation))
    #expect(throws: Refusal.self) { try store.settle(incarnation: store.incarnation + 1) }
    let again = try TestForeignPages(guest.makeTree(slots: 10, pages: [1: 1]), guest)
    #expect(again.incarnation == store.incarnation, "a restarted server has the same store")
  }

  @Test func anotherDomainsFramesAreRefused() throws {
    let tree = guest.makeTree(slots: 10, pages: [1: 1])
    let other = GuestFrames(domain: 4)
    _ = other.add()
    let error = #expect(throws: (any Error).self) { try TestForeignPages(tree, other) }
    #expect("\(error!)".contains("the frame tree of domain 4 cannot be read"))
  }
}
