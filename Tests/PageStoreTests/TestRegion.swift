// SPDX-License-Identifier: Apache-2.0
import PageStore
import RMAP

/// What a slot holds; a page of one word all over, as `fill` makes it.
enum Content: Equatable {
  case word(UInt64)
  case zeros
  case lost
  case unreadable
  /// A page that no test has written.
  case torn
}

/// A region's pages in a class, because the test macros take no noncopyable values.
final class TestRegion {
  private var pages: RegionPages

  init(
    _ name: RegionName, slots: UInt64, quota: Int, arena: Arena, isLinear: Bool = false
  ) throws {
    pages = try RegionPages(
      name, slots: slots, quota: quota, arena: arena, isLinear: isLinear)
  }

  var stored: Int { pages.stored }
  var linearMemory: UnsafeMutableRawBufferPointer? { pages.linearMemory }
  var incarnation: UInt64 { pages.incarnation }
  var reservedBytes: Int { pages.reservedBytes }

  func stage(_ slot: UInt64) -> StagedPage? { pages.stage(slot) }
  func commit(_ slot: UInt64, page: StagedPage, hashes: PageHashes) {
    pages.commit(slot, page: page, hashes: hashes)
  }
  func abandon(_ page: StagedPage) { pages.abandon(page) }
  func clear(_ slot: UInt64, count: Int) { pages.clear(slot, count: count) }
  func reclaim() { pages.reclaim() }
  /// True when the data of `incarnation` is gone.
  func settle(incarnation: UInt64) throws -> Bool {
    try pages.settle(incarnation: incarnation).get()
  }
  func synchronize() { pages.synchronize() }

  func content(_ slot: UInt64) -> Content {
    switch pages.load(slot) {
    case .page(let page, _):
      let word = page.load(as: UInt64.self)
      return isFilled(page, word) ? .word(word) : .torn
    case .zeros: return .zeros
    case .lost: return .lost
    case .unreadable: return .unreadable
    }
  }

  /// Where the slot's page lies.
  func address(_ slot: UInt64) -> UnsafeRawPointer? {
    guard case .page(let page, _) = pages.load(slot) else { return nil }
    return page
  }

  /// Stores a page of one word all over; false when it is refused.
  func write(_ slot: UInt64, _ word: UInt64) -> Bool {
    guard let page = pages.stage(slot) else { return false }
    fill(page.bytes, word)
    pages.commit(slot, page: page, hashes: PageHashes())
    return true
  }
}

func fill(_ page: UnsafeMutableRawPointer, _ word: UInt64) {
  page.initializeMemory(as: UInt64.self, repeating: word, count: Wire.pageBytes / 8)
}

func isFilled(_ page: UnsafeRawPointer, _ word: UInt64) -> Bool {
  UnsafeRawBufferPointer(start: page, count: Wire.pageBytes).bindMemory(to: UInt64.self)
    .allSatisfy { $0 == word }
}

func isZero(_ page: UnsafeRawPointer) -> Bool { isFilled(page, 0) }
