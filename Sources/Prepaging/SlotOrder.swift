// SPDX-License-Identifier: Apache-2.0

/// The order that a strategy walks: which slot stands at which position.
///
/// It is kept in extents, runs of ascending slots at ascending positions, so an order of few ranges
/// takes little memory however many slots it covers; without hints it is a single extent, the
/// slots' own order.
struct SlotOrder: ~Copyable {
  struct Extent {
    var position: Int
    var slot: Int
    var count: Int
  }

  /// Slots that hints named in vain: past the end, or named before.
  private(set) var ignored = 0
  /// How many extents there are.
  let extentCount: Int
  /// By position.
  private let extents: UnsafeMutablePointer<Extent>
  /// Indices of `extents`, by slot.
  private let bySlot: UnsafeMutablePointer<UInt32>
  /// Walks mostly stay within an extent.
  private var recent = 0

  /// The order that begins with what `hints` name; slots that none names follow, ascending.
  init(slots: Int, hints: [SlotRange]) {
    var found: [Extent] = []
    var position = 0
    func append(_ run: Range<Int>) {
      if let last = found.last, last.slot + last.count == run.lowerBound {
        found[found.count - 1].count += run.count
      } else {
        found.append(Extent(position: position, slot: run.lowerBound, count: run.count))
      }
      position += run.count
    }

    if hints.isEmpty {
      if slots > 0 { append(0..<slots) }
    } else {
      var unnamed = PendingSet(count: slots)
      unnamed.insert(0..<slots)
      for hint in hints {
        let range = hint.clipped(to: slots)
        let before = unnamed.remaining
        Self.takeRuns(of: &unnamed, in: range, append)
        let (sum, overflow) = ignored.addingReportingOverflow(
          max(0, hint.count) - (before - unnamed.remaining))
        ignored = overflow ? .max : sum
      }
      Self.takeRuns(of: &unnamed, in: 0..<slots, append)
    }

    extentCount = found.count
    extents = .allocate(capacity: max(1, found.count))
    extents.initialize(from: found, count: found.count)
    bySlot = .allocate(capacity: max(1, found.count))
    let sorted = found.indices.sorted { found[$0].slot < found[$1].slot }
    for (index, extent) in sorted.enumerated() {
      (bySlot + index).initialize(to: UInt32(extent))
    }
  }

  deinit {
    extents.deallocate()
    bySlot.deallocate()
  }

  /// Takes every run of positions in a range out of a set.
  ///
  /// What is scanned is taken out, so the same range named again costs only a few words.
  private static func takeRuns(
    of set: inout PendingSet, in range: Range<Int>, _ body: (Range<Int>) -> Void
  ) {
    var from = range.lowerBound
    while let first = set.next(from: from), first < range.upperBound {
      let end = set.endOfRun(from: first, limit: range.upperBound)
      set.remove(first..<end)
      body(first..<end)
      from = end
    }
  }

  /// An extent, by position: extent 0 has position 0.
  func extent(_ index: Int) -> Extent { extents[index] }

  /// The slot at a position, which must be there.
  mutating func slot(at position: Int) -> Int {
    if position < extents[recent].position
      || position - extents[recent].position >= extents[recent].count
    {
      var low = 0
      var high = extentCount - 1
      while low < high {
        let middle = (low + high + 1) / 2
        if extents[middle].position <= position { low = middle } else { high = middle - 1 }
      }
      recent = low
    }
    return extents[recent].slot + position - extents[recent].position
  }

  /// The position of a slot, which must be there.
  func position(of slot: Int) -> Int {
    let extent = extents[Int(bySlot[extentIndex(of: slot)])]
    return extent.position + slot - extent.slot
  }

  /// Has the positions of a range of slots, in runs.
  func forEachRun(of slots: Range<Int>, _ body: (Range<Int>) -> Void) {
    guard !slots.isEmpty else { return }
    var index = extentIndex(of: slots.lowerBound)
    var slot = slots.lowerBound
    while slot < slots.upperBound {
      let extent = extents[Int(bySlot[index])]
      let end = min(slots.upperBound, extent.slot + extent.count)
      let position = extent.position + slot - extent.slot
      body(position..<position + end - slot)
      slot = end
      index += 1
    }
  }

  /// Which of `bySlot` has a slot.
  private func extentIndex(of slot: Int) -> Int {
    var low = 0
    var high = extentCount - 1
    while low < high {
      let middle = (low + high + 1) / 2
      if extents[Int(bySlot[middle])].slot <= slot { low = middle } else { high = middle - 1 }
    }
    return low
  }
}
