// SPDX-License-Identifier: Apache-2.0

/// What a client is still to be told of, a frame each. Allocates nothing after `init`.
///
/// When there is no room for more, what was to be told first is forgotten: its pages come soonest, and their programs
/// have most likely asked for them.
struct AnnouncementQueue: ~Copyable {
  private static let capacity = 64

  private let entries: UnsafeMutablePointer<Announcement>
  private var head = 0
  private var count = 0

  init() {
    entries = .allocate(capacity: Self.capacity)
    entries.initialize(repeating: .nothing, count: Self.capacity)
  }

  deinit { entries.deallocate() }

  /// Puts it last.
  mutating func append(_ announcement: Announcement) {
    if count == Self.capacity { _ = removeFirst() }
    entries[(head + count) % Self.capacity] = announcement
    count += 1
  }

  /// Puts it first.
  mutating func prepend(_ announcement: Announcement) {
    if count == Self.capacity { count -= 1 }
    head = (head + Self.capacity - 1) % Self.capacity
    entries[head] = announcement
    count += 1
  }

  /// Takes the first out; nil when there is none.
  mutating func removeFirst() -> Announcement? {
    guard count > 0 else { return nil }
    defer {
      head = (head + 1) % Self.capacity
      count -= 1
    }
    return entries[head]
  }
}
