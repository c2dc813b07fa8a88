// SPDX-License-Identifier: Apache-2.0

/// The client's side of a session's pushes: which have arrived, and what to acknowledge.
struct PushReceiver: ~Copyable {
  /// What a PUSH turned out to be.
  enum Taken {
    /// All of a page; nil for zeros. Valid as long as the message is.
    case page(UnsafeRawPointer?)
    /// No page: a fragment, others being still to come, or what had come before.
    case nothing
    /// There is nothing more to push.
    case end
    case bad
  }

  private struct Parts {
    var number: UInt32 = 0
    var missing: UInt8 = 0
  }

  /// Of the pages pushed, those that were of no use.
  var unused: UInt32 = 0
  /// The first number that has not arrived.
  private var first: UInt32 = 1
  /// Bit i: number `first` + 1 + i has arrived.
  private var behind: UInt64 = 0
  private var owes = false
  private let parts: UnsafeMutablePointer<Parts>
  private var assembly: UnsafeMutableRawPointer?

  init() {
    parts = .allocate(capacity: Wire.pushWindow)
    parts.initialize(repeating: Parts(), count: Wire.pushWindow)
  }

  deinit {
    parts.deallocate()
    assembly?.deallocate()
  }

  /// Makes room for pages that come as fragments.
  mutating func makeAssembly() {
    assembly = .allocate(
      byteCount: Wire.pushWindow * Wire.pageBytes, alignment: Wire.pageBytes)
  }

  /// A new session counts its pushes from 1.
  mutating func restart() {
    (first, behind, owes) = (1, 0, false)
    parts.update(repeating: Parts(), count: Wire.pushWindow)
  }

  /// Takes in a PUSH of the current session.
  mutating func take(_ message: Message, slots: UInt64) -> Taken {
    let header = message.header
    let number = header.generationNumber
    let distance = Int32(bitPattern: number &- first)
    guard distance < Int32(Wire.pushWindow) else { return .bad }
    if distance < 0 || distance > 0 && behind >> UInt64(distance - 1) & 1 == 1 {
      // Its acknowledgement was lost, perhaps.
      owes = true
      return .nothing
    }
    if header.fragments == 0 {
      guard message.payload.count == 0 else { return .bad }
      note(distance)
      return .end
    }
    guard header.slotIndex < slots, let piece = PagePiece(message) else { return .bad }
    if piece.isWhole {
      note(distance)
      return .page(piece.page)
    }
    guard let assembly else { return .bad }
    let index = PushBuffers.index(of: number)
    if parts[index].number != number {
      parts[index] = Parts(number: number, missing: Wire.allFragments)
    }
    guard parts[index].missing & header.fragments != 0 else { return .nothing }
    let page = assembly + index * Wire.pageBytes
    piece.copy(to: page)
    parts[index].missing &= ~header.fragments
    guard parts[index].missing == 0 else { return .nothing }
    note(distance)
    return .page(page)
  }

  private mutating func note(_ distance: Int32) {
    owes = true
    guard distance == 0 else {
      behind |= 1 << UInt64(distance - 1)
      return
    }
    // `first` has arrived, and with it those right behind that have.
    let run = (~behind).trailingZeroBitCount
    first &+= UInt32(run) + 1
    behind = run >= 63 ? 0 : behind >> UInt64(run + 1)
  }

  /// What to tell the server, nil when it knows.
  mutating func acknowledgement(session: UInt32) -> Header? {
    guard owes else { return nil }
    owes = false
    return Header(
      opcode: Opcode.pushed.rawValue, session: session, credits: UInt16(Wire.pushWindow),
      generation: first, slot: behind, count: unused)
  }
}
