// SPDX-License-Identifier: Apache-2.0

/// Sessions in the order of their turns, each at most once. Allocates nothing after `init`.
struct TurnQueue: ~Copyable {
  private let neighbours: UnsafeMutablePointer<(previous: Int32, next: Int32)>
  private let isIn: UnsafeMutablePointer<Bool>
  private var first: Int32 = -1
  private var last: Int32 = -1
  private(set) var count = 0

  /// - Parameter capacity: members are below this.
  init(capacity: Int) {
    neighbours = .allocate(capacity: capacity)
    neighbours.initialize(repeating: (-1, -1), count: capacity)
    isIn = .allocate(capacity: capacity)
    isIn.initialize(repeating: false, count: capacity)
  }

  deinit {
    neighbours.deallocate()
    isIn.deallocate()
  }

  /// Puts a member last, unless it waits already.
  mutating func append(_ member: Int) {
    guard !isIn[member] else { return }
    isIn[member] = true
    count += 1
    neighbours[member] = (last, -1)
    if last >= 0 { neighbours[Int(last)].next = Int32(member) } else { first = Int32(member) }
    last = Int32(member)
  }

  /// Takes the first out; there must be one.
  mutating func removeFirst() -> Int {
    let member = Int(first)
    remove(member)
    return member
  }

  /// Takes a member out, if it waits.
  mutating func remove(_ member: Int) {
    guard isIn[member] else { return }
    isIn[member] = false
    count -= 1
    let (previous, next) = neighbours[member]
    if previous >= 0 { neighbours[Int(previous)].next = next } else { first = next }
    if next >= 0 { neighbours[Int(next)].previous = previous } else { last = previous }
  }
}
