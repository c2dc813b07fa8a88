// SPDX-License-Identifier: Apache-2.0

/// What a guest's module has counted of pages that followed it, in all its moves or in one.
struct MoveCounters: Sendable, Equatable {
  private static let names = ["pushed_pages", "fetched_pages", "network_faults", "minor_faults"]

  let pushed_pages: Int
  let fetched_pages: Int
  let network_faults: Int
  let minor_faults: Int

  /// Reads them from a guest with a pseudo-paging device.
  init(of guest: XenGuest) async throws {
    try self.init(
      parsing: try await guest.run(
        "cd \(XenGuest.device)/stats && cat \(Self.names.joined(separator: " "))"))
  }

  /// - Throws: ``LabError`` when `text` is not a number for each.
  init(parsing text: String) throws {
    let numbers = text.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
    guard numbers.count == Self.names.count else {
      throw LabError("the module's counters are ‘\(text)’")
    }
    (pushed_pages, fetched_pages) = (numbers[0], numbers[1])
    (network_faults, minor_faults) = (numbers[2], numbers[3])
  }

  private init(_ after: MoveCounters, minus before: MoveCounters) {
    pushed_pages = after.pushed_pages - before.pushed_pages
    fetched_pages = after.fetched_pages - before.fetched_pages
    network_faults = after.network_faults - before.network_faults
    minor_faults = after.minor_faults - before.minor_faults
  }

  static func - (after: MoveCounters, before: MoveCounters) -> MoveCounters {
    MoveCounters(after, minus: before)
  }
}
