// SPDX-License-Identifier: Apache-2.0
import Glibc

/// What has become of a slot, seen from the program's side.
public enum SlotState: UInt8, Sendable, CaseIterable {
  /// Its page is at the server, and nobody has asked for it.
  case missing = 0
  /// The page was asked for.
  case requested = 1
  /// The server has said that it pushes the page.
  case announced = 2
  /// The page cannot be had; an access gets SIGBUS.
  case lost = 3
  /// Nothing more is needed: the page is in place, or nobody is left who wants it.
  case present = 4
}

/// The state of every slot of a region, and which of them threads wait for: four bits a slot.
///
/// Memory is taken as slots are touched. The bits of 64 slots lie in one cache line, and those of the
/// states are the bits of `SlotState`'s raw values.
public struct SlotStates: ~Copyable {
  /// The slots of a piece of ``copyPresent(piece:to:)``.
  public static var slotsPerPiece: UInt64 { 8192 }
  /// The bytes of a piece.
  public static var pieceBytes: Int { 1024 }

  struct Word {
    var low: UInt64 = 0
    var high: UInt64 = 0
    var present: UInt64 = 0
    var awaited: UInt64 = 0

    /// The slots in a state, as a mask.
    @inline(__always)
    func mask(_ state: SlotState) -> UInt64 {
      switch state {
      case .missing: ~(low | high | present)
      case .requested: low & ~high
      case .announced: high & ~low
      case .lost: low & high
      case .present: present
      }
    }
  }

  /// How many slots there are.
  public let slots: UInt64
  /// How many slots threads wait for.
  public private(set) var awaited: UInt64 = 0
  private var counts: (UInt64, UInt64, UInt64, UInt64, UInt64)
  private let words: UnsafeMutablePointer<Word>

  /// All missing.
  ///
  /// - Parameter slots: above 0.
  public init(slots: UInt64) {
    precondition(slots > 0)
    self.slots = slots
    counts = (slots, 0, 0, 0, 0)
    let memory = calloc(Int(slots / 64 + 1), MemoryLayout<Word>.stride)
    precondition(memory != nil, "no memory for the states of \(slots) slots")
    words = memory!.bindMemory(to: Word.self, capacity: Int(slots / 64 + 1))
  }

  deinit { free(words) }

  // MARK: One slot

  /// The state of a slot.
  @inline(__always)
  public subscript(slot: UInt64) -> SlotState {
    precondition(slot < slots)
    let word = words[Int(slot / 64)]
    let bit = slot % 64
    let raw = word.low >> bit & 1 | (word.high >> bit & 1) << 1 | (word.present >> bit & 1) << 2
    return SlotState(rawValue: UInt8(raw))!
  }

  /// Gives a slot a state. Nobody waits for one that is present or lost any more.
  @inline(__always)
  public mutating func set(_ slot: UInt64, _ state: SlotState) {
    precondition(slot < slots)
    set(word: slot / 64, mask: 1 << (slot % 64), state)
  }

  /// Does a thread wait for the slot?
  @inline(__always)
  public func isAwaited(_ slot: UInt64) -> Bool {
    precondition(slot < slots)
    return words[Int(slot / 64)].awaited >> (slot % 64) & 1 != 0
  }

  /// Notes that a thread waits for a slot that is neither present nor lost.
  ///
  /// - Returns: whether it is the first.
  @inline(__always)
  public mutating func await(_ slot: UInt64) -> Bool {
    precondition(slot < slots)
    let bit: UInt64 = 1 << (slot % 64)
    let word = words + Int(slot / 64)
    precondition((word.pointee.present | word.pointee.mask(.lost)) & bit == 0)
    guard word.pointee.awaited & bit == 0 else { return false }
    word.pointee.awaited |= bit
    awaited += 1
    return true
  }

  /// Is any slot present that is at most so far from one?
  ///
  /// - Parameter distance: below 32, so that two words hold all of them.
  public func isPresent(anyNear slot: UInt64, within distance: UInt64) -> Bool {
    precondition(slot < slots && distance < 32)
    let low = slot - min(slot, distance)
    let high = min(slot + distance, slots - 1)
    var present = words[Int(low / 64)].present & ~0 << (low % 64)
    if low / 64 != high / 64 {
      guard present == 0 else { return true }
      present = words[Int(high / 64)].present
    }
    return present & ~0 >> (63 - high % 64) != 0
  }

  /// Notes what the server has said it pushes: of these slots, those that are missing are announced now.
  ///
  /// - Parameter count: from `first` on upwards, downwards when negative. May lead out of the region.
  public mutating func announce(first: UInt64, count: Int) {
    for step in 0..<abs(count) {
      let slot = count > 0 ? first &+ UInt64(step) : first &- UInt64(step)
      guard slot < slots else { return }
      if self[slot] == .missing { set(slot, .announced) }
    }
  }

  // MARK: Many slots

  /// How many slots are in a state.
  public func count(_ state: SlotState) -> UInt64 {
    switch state {
    case .missing: counts.0
    case .requested: counts.1
    case .announced: counts.2
    case .lost: counts.3
    case .present: counts.4
    }
  }

  /// Has everything arrived that can be had?
  public var isComplete: Bool { counts.3 + counts.4 == slots }

  /// Gives all slots of a range a state.
  public mutating func set(_ range: Range<UInt64>, _ state: SlotState) {
    precondition(range.upperBound <= slots)
    var slot = range.lowerBound
    while slot < range.upperBound {
      let end = min(range.upperBound, slot / 64 * 64 + 64)
      set(word: slot / 64, mask: Self.mask(from: slot % 64, count: end - slot), state)
      slot = end
    }
  }

  /// Of slots `64 * word` to `64 * word + 63`, those in a state, as a mask.
  @inline(__always)
  public func mask(word: UInt64, _ state: SlotState) -> UInt64 {
    let held = min(64, slots - word * 64)
    return words[Int(word)].mask(state) & Self.mask(from: 0, count: held)
  }

  /// Gives the slots of a mask a state.
  @inline(__always)
  public mutating func set(word index: UInt64, mask: UInt64, _ state: SlotState) {
    let word = words + Int(index)
    let before = word.pointee
    counts.0 -= count(before.mask(.missing) & mask)
    counts.1 -= count(before.mask(.requested) & mask)
    counts.2 -= count(before.mask(.announced) & mask)
    counts.3 -= count(before.mask(.lost) & mask)
    counts.4 -= count(before.present & mask)
    let raw = state.rawValue
    word.pointee.low = before.low & ~mask | (raw & 1 != 0 ? mask : 0)
    word.pointee.high = before.high & ~mask | (raw & 2 != 0 ? mask : 0)
    word.pointee.present = before.present & ~mask | (raw & 4 != 0 ? mask : 0)
    if state == .present || state == .lost {
      awaited -= count(before.awaited & mask)
      word.pointee.awaited &= ~mask
    }
    let changed = count(mask)
    switch state {
    case .missing: counts.0 += changed
    case .requested: counts.1 += changed
    case .announced: counts.2 += changed
    case .lost: counts.3 += changed
    case .present: counts.4 += changed
    }
  }

  /// The first slot at or behind `slot` that is in a state; nil when there is none.
  public func first(_ state: SlotState, from slot: UInt64) -> UInt64? {
    next(from: slot) { mask(word: $0, state) }
  }

  /// How many slots from `slot` on are in a state, one behind the other; at most `limit`.
  public func run(_ state: SlotState, from slot: UInt64, limit: UInt64) -> UInt64 {
    let end = min(slots, slot + min(limit, slots))
    let stop = next(from: slot) { ~mask(word: $0, state) } ?? end
    return min(stop, end) - min(slot, end)
  }

  /// The first slot at or behind `slot` whose bit is set in what `bits` gives for its word.
  @inline(__always)
  private func next(from slot: UInt64, _ bits: (UInt64) -> UInt64) -> UInt64? {
    guard slot < slots else { return nil }
    var word = slot / 64
    var left = bits(word) & ~0 << (slot % 64)
    while left == 0 {
      word += 1
      guard word * 64 < slots else { return nil }
      left = bits(word)
    }
    let found = word * 64 + UInt64(left.trailingZeroBitCount)
    return found < slots ? found : nil
  }

  // MARK: Reconnecting

  /// Takes back what was requested and announced: after a broken link nothing of it is under way. Who
  /// waits goes on waiting.
  public mutating func forgetUnderWay() {
    for index in 0...slots / 64 {
      let word = words[Int(index)]
      set(word: index, mask: word.mask(.requested) | word.mask(.announced), .missing)
    }
  }

  /// How many pieces the bitmap of present slots has.
  public var pieces: UInt64 { (slots + Self.slotsPerPiece - 1) / Self.slotsPerPiece }

  /// Writes a piece of the bitmap of present slots: bit `i` of it, counted from the least of the first
  /// byte on, is slot `8192 * piece + i`. Bits behind the last slot are 0.
  ///
  /// - Parameter bytes: has room for 1,024 bytes.
  public func copyPresent(piece: UInt64, to bytes: UnsafeMutableRawPointer) {
    precondition(piece < pieces)
    for index in 0..<Self.slotsPerPiece / 64 {
      let word = piece * (Self.slotsPerPiece / 64) + index
      let bits = word * 64 < slots ? words[Int(word)].present : 0
      bytes.storeBytes(of: bits.littleEndian, toByteOffset: Int(index) * 8, as: UInt64.self)
    }
  }

  @inline(__always)
  private func count(_ mask: UInt64) -> UInt64 { UInt64(mask.nonzeroBitCount) }

  @inline(__always)
  private static func mask(from bit: UInt64, count: UInt64) -> UInt64 {
    count >= 64 ? ~0 : ((1 << count) - 1) << bit
  }
}
