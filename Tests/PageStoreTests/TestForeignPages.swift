// SPDX-License-Identifier: Apache-2.0
import PageStore
import RMAP
import TestSupport

/// Foreign pages in a class, because the test macros take no noncopyable values.
final class TestForeignPages {
  private var pages: ForeignPages

  /// Reads the tree as memxd does.
  init(_ tree: GuestFrames.Tree, _ guest: GuestFrames, limit: Int = 1 << 20) throws {
    let read = try FrameTree(
      FrameTree.Root(frame: tree.root, generation: tree.generation), of: guest.domain, limit: limit,
      mapper: guest)
    pages = try ForeignPages(read, mapper: guest)
  }

  var slots: UInt64 { pages.slots }
  var stored: Int { pages.stored }
  var unreadable: Int { pages.unreadable }
  var lastError: Int32 { pages.lastError }
  var incarnation: UInt64 { pages.incarnation }

  func clear(_ slot: UInt64, count: Int) { pages.clear(slot, count: count) }

  /// True when the data of `incarnation` is gone.
  func settle(incarnation: UInt64) throws -> Bool {
    try pages.settle(incarnation: incarnation).get()
  }

  var readableRuns: [Range<Int>] {
    var runs: [Range<Int>] = []
    pages.forEachReadableRun { runs.append($0) }
    return runs
  }

  func content(_ slot: UInt64) -> Content {
    switch pages.load(slot) {
    case .page(let page, let hashes):
      let word = page.load(as: UInt64.self)
      return isFilled(page, word) && hashes == PageHashes() ? .word(word) : .torn
    case .zeros: return .zeros
    case .lost: return .lost
    case .unreadable: return .unreadable
    }
  }
}
