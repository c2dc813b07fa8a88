// SPDX-License-Identifier: Apache-2.0
import CRMAP
import PageStore
import TestSupport
import Testing

/// Trees as no right guest makes them.
@Suite struct FrameTreeTests {
  private let guest = GuestFrames(domain: 9)

  /// What is said of a tree that is made wrong by `spoil`; nil when it is taken.
  private func refusal(
    slots: UInt64 = 2000, pages: [Int: UInt64] = [0: 1, 600: 2, 1999: 3], limit: Int = 1000,
    _ spoil: (inout GuestFrames.Tree) -> Void
  ) -> String? {
    var tree = guest.makeTree(slots: slots, pages: pages)
    spoil(&tree)
    do { _ = try TestForeignPages(tree, guest, limit: limit) } catch { return "\(error)" }
    return nil
  }

  private func expect(_ text: String, in refusal: String?) {
    #expect(refusal?.contains("domain 9") == true)
    #expect(refusal?.contains(text) == true, "\(refusal ?? "taken")")
    #expect(guest.mappedCount == 0, "frames of a tree that was refused stay mapped")
  }

  @Test func aRightTreeIsTaken() {
    #expect(refusal { _ in } == nil)
    #expect(refusal(limit: 3) { _ in } == nil)
  }

  @Test func theRoot() {
    expect("is not its root", in: refusal { guest[$0.root, 0] += 1 })
    expect("its version is 2", in: refusal { guest[$0.root, 1] = 2 })
    expect("its generation is 0x1, not 0x6e57", in: refusal { guest[$0.root, 2] = 1 })
    expect(
      "its generation is 0x0",
      in: refusal {
        guest[$0.root, 2] = 0
        $0.generation = 0
      })
    expect("it has 0 slots", in: refusal { guest[$0.root, 3] = 0 })
    expect("slots; 1 to 132120576", in: refusal { guest[$0.root, 3] = FrameTree.maxSlots + 1 })
    expect("slots; 1 to 132120576", in: refusal { guest[$0.root, 3] = .max })
    expect("it says that 2001 of 2000", in: refusal { guest[$0.root, 4] = 2001 })
    expect("of a domain with 2", in: refusal(limit: 2) { _ in })
    expect("cannot be read", in: refusal { $0.root = 1 })
    expect("cannot be read", in: refusal { guest.release($0.root) })
  }

  @Test func countsThatAreWrong() {
    expect("more slots hold pages than the 2", in: refusal { guest[$0.root, 4] = 2 })
    expect("3 slots hold pages, not the 4", in: refusal { guest[$0.root, 4] = 4 })
    expect("2 slots hold pages, not the 3", in: refusal { guest[$0.leaves[1], 88] = 0 })
  }

  @Test func entriesBehindTheLastSlot() {
    let entry = GuestFrames.entry(5)
    expect("for slot 2000,", in: refusal { guest[$0.leaves[2], 2000 % 512] = entry })
    expect("for slot 2048,", in: refusal { guest[$0.directories[0], 4] = entry })
    expect("for slot 262144,", in: refusal { guest[$0.root, 8 + 1] = entry })
    expect("for slot 131858432,", in: refusal { guest[$0.root, 511] = entry })
  }

  @Test func entriesThatAreNone() {
    for entry in [2, 0x1000, GuestFrames.entry(5) | 0x800, .max] as [UInt64] {
      expect("is none", in: refusal { guest[$0.leaves[0], 4] = entry })
      expect("is none", in: refusal { guest[$0.directories[0], 1] = entry })
      expect("is none", in: refusal { guest[$0.root, 8] = entry })
    }
  }

  @Test func tablesThatAreNobodys() {
    expect("cannot be read", in: refusal { guest.release($0.leaves[1]) })
    expect("cannot be read", in: refusal { guest.release($0.directories[0]) })
    expect(
      "cannot be read",
      in: refusal { guest[$0.directories[0], 1] = GuestFrames.entry(1 << 51) })
  }

  @Test func circles() {
    expect("is none", in: refusal { guest[$0.root, 8] = GuestFrames.entry($0.root) })
    expect(
      "more slots hold pages than the 3",
      in: refusal {
        // A directory that is its own leaf, three times over.
        for index in 0..<3 {
          guest[$0.directories[0], index] = GuestFrames.entry($0.directories[0])
        }
      })
    // Every entry the same leaf: as many tables as there are slots for, and no more pages than are said.
    let slots = UInt64(4 * 512 * 512)
    let calls = guest.calls
    expect(
      "more slots hold pages than the 1000",
      in: refusal(slots: slots, pages: [0: 1]) { tree in
        guest[tree.root, 4] = 1000
        for index in 0..<512 {
          guest[tree.leaves[0], index] = GuestFrames.entry(tree.frames[0]!)
          guest[tree.directories[0], index] = GuestFrames.entry(tree.leaves[0])
        }
        for index in 0..<4 { guest[tree.root, 8 + index] = GuestFrames.entry(tree.directories[0]) }
      })
    #expect(guest.calls - calls <= 4)
  }

  @Test(arguments: 0..<40 as Range<UInt64>) func anythingAtAll(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let count = Int.random(in: 0...1200, using: &random)
    var pages: [Int: UInt64] = [:]
    while pages.count < count {
      pages[Int.random(in: 0..<3000, using: &random)] = .random(in: 1...9, using: &random)
    }
    var tree = guest.makeTree(slots: 3000, pages: pages)
    let tables = [tree.root] + tree.directories + tree.leaves
    let targets = tables + tree.frames.values.sorted() + [0, 1, .max >> 12]
    for _ in 0..<Int.random(in: 1...6, using: &random) {
      let value =
        switch Int.random(in: 0..<3, using: &random) {
        case 0: GuestFrames.entry(targets.randomElement(using: &random)!)
        case 1: UInt64.random(in: 0 ... .max, using: &random)
        default: UInt64(0)
        }
      guest[tables.randomElement(using: &random)!, Int.random(in: 0..<512, using: &random)] = value
    }
    tree.generation = guest[tree.root, 2]
    do {
      let store = try TestForeignPages(tree, guest, limit: 5000)
      // Whatever was taken is bounded by what the root says.
      #expect(store.stored == Int(guest[tree.root, 4]), "seed \(seed)")
      let readable = store.readableRuns.reduce(0) { $0 + $1.count }
      #expect(readable + store.unreadable == store.stored, "seed \(seed)")
      #expect(store.readableRuns.allSatisfy { $0.upperBound <= Int(store.slots) }, "seed \(seed)")
    } catch is StoreError {}
    #expect(guest.mappedCount == 0, "seed \(seed)")
  }
}
