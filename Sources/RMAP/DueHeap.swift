// SPDX-License-Identifier: Apache-2.0

/// Which of a fixed number of things is due first: a binary heap in which each can be put anew at any time.
///
/// Allocates nothing after `init`; each call costs the logarithm of how many are due.
public struct DueHeap: ~Copyable {
  /// Indices of things, the first due at the top.
  private let heap: UnsafeMutablePointer<Int32>
  /// Of each thing, its place in the heap; -1 when it is not due.
  private let places: UnsafeMutablePointer<Int32>
  private let dues: UnsafeMutablePointer<UInt64>
  private let capacity: Int
  /// How many are due at some time.
  public private(set) var count = 0

  /// - Parameter capacity: things are `0..<capacity`; at first none is due.
  public init(capacity: Int) {
    self.capacity = capacity
    heap = .allocate(capacity: capacity)
    places = .allocate(capacity: capacity)
    places.initialize(repeating: -1, count: capacity)
    dues = .allocate(capacity: capacity)
    dues.initialize(repeating: .max, count: capacity)
  }

  deinit {
    heap.deallocate()
    places.deallocate()
    dues.deallocate()
  }

  /// When the first is due, `UInt64.max` when none is.
  @inline(__always)
  public var first_ns: UInt64 { count == 0 ? .max : dues[Int(heap[0])] }

  /// The first that is due, of equals the one with the least index; nil when none is.
  @inline(__always)
  public var first: Int? { count == 0 ? nil : Int(heap[0]) }

  /// When a thing is due.
  public func due_ns(_ index: Int) -> UInt64 { dues[index] }

  /// Sets when a thing is due, `UInt64.max` for not at all.
  public mutating func set(_ index: Int, due_ns: UInt64) {
    precondition(index >= 0 && index < capacity)
    let before_ns = dues[index]
    guard due_ns != before_ns else { return }
    dues[index] = due_ns
    var place = Int(places[index])
    if due_ns == .max {
      places[index] = -1
      count -= 1
      guard place < count else { return }
      put(heap[count], at: place)
      moveUp(place)
      moveDown(Int(places[Int(heap[place])]))
      return
    }
    if place < 0 {
      place = count
      count += 1
      put(Int32(index), at: place)
    }
    if due_ns < before_ns { moveUp(place) } else { moveDown(place) }
  }

  private func put(_ index: Int32, at place: Int) {
    heap[place] = index
    places[Int(index)] = Int32(place)
  }

  private func isBefore(_ a: Int32, _ b: Int32) -> Bool {
    (dues[Int(a)], a) < (dues[Int(b)], b)
  }

  private func moveUp(_ start: Int) {
    var place = start
    let index = heap[start]
    while place > 0 {
      let parent = (place - 1) / 2
      guard isBefore(index, heap[parent]) else { break }
      put(heap[parent], at: place)
      place = parent
    }
    put(index, at: place)
  }

  private func moveDown(_ start: Int) {
    var place = start
    let index = heap[start]
    while true {
      var child = 2 * place + 1
      guard child < count else { break }
      if child + 1 < count, isBefore(heap[child + 1], heap[child]) { child += 1 }
      guard isBefore(heap[child], index) else { break }
      put(heap[child], at: place)
      place = child
    }
    put(index, at: place)
  }
}
