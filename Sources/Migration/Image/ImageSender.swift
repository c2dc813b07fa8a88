// SPDX-License-Identifier: Apache-2.0
import CMemx
import Glibc

/// Sends a guest's image: first, while the guest runs, pages that may be in it; later what `xl save` writes, less
/// the pages that are still the same or all zeros.
///
/// A page counts as the same if its XXH64 is, as for the checksums of RMAP.
struct ImageSender: ~Copyable {
  /// What the guest's image took so far, in bytes; pages that went ahead are not in it.
  private(set) var bytes: UInt64 = 0
  /// Pages that went ahead.
  var aheadPages: Int { hashes.count }

  private let output: Int32
  private var hashes: [UInt32: UInt64] = [:]
  private var parser = ImageParser()
  private let pending: UnsafeMutableRawBufferPointer
  /// Bytes of ``pending`` that are yet to be sent.
  private var filled = 0
  private let unsent: UnsafeMutableRawBufferPointer
  /// Bytes of ``unsent`` that belong to messages.
  private var written = 0
  /// The last message, to which more can be added.
  private var last: (kind: ImageMessage, at: Int, count: Int)?

  private static let bufferBytes = 1 << 20

  /// - Parameter output: the connection to the target.
  init(output: Int32) {
    self.output = output
    pending = .allocate(byteCount: Self.bufferBytes, alignment: 4096)
    // What a full buffer needs beyond its bytes: a word wherever a page's fate changes.
    unsent = .allocate(byteCount: Self.bufferBytes + Self.bufferBytes / 8, alignment: 4096)
  }

  deinit {
    pending.deallocate()
    unsent.deallocate()
  }

  /// Sends a page ahead, at the latest with ``finishAhead()``, unless it went ahead and is the same still. One that
  /// does not fit into the format is left out.
  ///
  /// - Parameter page: 4,096 bytes, which may change under way.
  /// - Returns: false when nobody reads the output any more.
  mutating func sendAhead(pfn: UInt64, _ page: UnsafeRawPointer) -> Bool {
    guard let pfn = UInt32(exactly: pfn) else { return true }
    if let hash = hashes[pfn], hash == memx_xxh64(page, ImageMessage.pageBytes, 0) { return true }
    guard room() >= ImageMessage.headerBytes + ImageMessage.ahead.itemBytes || flush() else {
      return false
    }
    addItem(to: .ahead)
    append(pfn)
    let copy = unsent.baseAddress! + written
    copy.copyMemory(from: page, byteCount: ImageMessage.pageBytes)
    written += ImageMessage.pageBytes
    // The hash of what is sent, whatever the page is by now.
    hashes[pfn] = memx_xxh64(copy, ImageMessage.pageBytes, 0)
    return true
  }

  /// All that goes ahead has been sent.
  ///
  /// - Returns: false when nobody reads the output any more.
  mutating func finishAhead() -> Bool {
    let sent = finish()
    bytes = 0
    return sent
  }

  /// Sends what there is of what `xl save` writes.
  mutating func step(from input: Int32) -> ImageStep {
    var ready = pollfd(fd: input, events: Int16(POLLIN), revents: 0)
    guard poll(&ready, 1, 100) > 0 else { return .idle }
    let count = read(input, pending.baseAddress! + filled, pending.count - filled)
    if count < 0 { return errno == EINTR ? .idle : .end }
    filled += count
    guard send(all: count == 0), flush() else { return .broken }
    return count > 0 ? .moved : .end
  }

  /// All that `xl save` writes has been sent.
  ///
  /// - Returns: false when nobody reads the output any more.
  mutating func finish() -> Bool {
    guard flush() else { return false }
    append(ImageMessage.end.header(count: 0))
    return flush()
  }

  /// Sends what has been read.
  ///
  /// - Parameter all: also bytes of which it is not known what they begin.
  private mutating func send(all: Bool) -> Bool {
    var from = 0
    while from < filled {
      let rest = UnsafeRawBufferPointer(rebasing: pending[from..<filled])
      switch parser.next(rest) {
      case .page(let pfn):
        guard send(page: rest.baseAddress!, pfn: pfn) else { return false }
        from += ImageMessage.pageBytes
      case .bytes(let count):
        guard send(bytes: rest.prefix(count)) else { return false }
        from += count
      case .unknown:
        guard all else {
          pending.baseAddress!.copyMemory(from: rest.baseAddress!, byteCount: rest.count)
          filled = rest.count
          return true
        }
        guard send(bytes: rest[...]) else { return false }
        from = filled
      }
    }
    filled = 0
    return true
  }

  private mutating func send(page: UnsafeRawPointer, pfn: UInt64) -> Bool {
    if isZeros(page) {
      guard room() >= ImageMessage.headerBytes || flush() else { return false }
      addItem(to: .zero)
      return true
    }
    let short = UInt32(truncatingIfNeeded: pfn)
    guard UInt64(short) == pfn, let hash = hashes[short],
      hash == memx_xxh64(page, ImageMessage.pageBytes, 0)
    else {
      return send(bytes: UnsafeRawBufferPointer(start: page, count: ImageMessage.pageBytes)[...])
    }
    guard room() >= ImageMessage.headerBytes + ImageMessage.pfnBytes || flush() else {
      return false
    }
    addItem(to: .same)
    append(short)
    return true
  }

  private mutating func send(bytes: Slice<UnsafeRawBufferPointer>) -> Bool {
    var rest = bytes
    while !rest.isEmpty {
      if room() <= ImageMessage.headerBytes {
        guard flush() else { return false }
      }
      addItem(to: .bytes)
      // One of them is counted already.
      let most = ImageMessage.bytes.mostItems - last!.count + 1
      let part = rest.prefix(min(most, room()))
      (unsent.baseAddress! + written).copyMemory(
        from: UnsafeRawBufferPointer(rebasing: part).baseAddress!, byteCount: part.count)
      written += part.count
      addItems(part.count - 1)
      rest = rest.dropFirst(part.count)
    }
    return true
  }

  private func room() -> Int { unsent.count - written }

  /// Adds an item to the last message, or begins one with it; what it is has to follow.
  private mutating func addItem(to kind: ImageMessage) {
    if last?.kind != kind || last!.count == kind.mostItems {
      last = (kind, written, 0)
      append(kind.header(count: 0))
    }
    addItems(1)
  }

  /// So many more items are in the last message.
  private mutating func addItems(_ more: Int) {
    last!.count += more
    unsent.storeBytes(
      of: last!.kind.header(count: last!.count).littleEndian, toByteOffset: last!.at,
      as: UInt32.self)
  }

  private mutating func append(_ word: UInt32) {
    unsent.storeBytes(of: word.littleEndian, toByteOffset: written, as: UInt32.self)
    written += 4
  }

  private mutating func flush() -> Bool {
    let all = UnsafeRawBufferPointer(rebasing: unsent[..<written])
    last = nil
    written = 0
    bytes += UInt64(all.count)
    return moveAll(all.count) { write(output, all.baseAddress! + $0, $1) }
  }
}

/// Whether a page is all zeros: its first word is, and each one after equals the one before.
private func isZeros(_ page: UnsafeRawPointer) -> Bool {
  page.loadUnaligned(as: UInt64.self) == 0
    && memcmp(page, page + 8, ImageMessage.pageBytes - 8) == 0
}

/// Calls `move` with an offset and a length until `count` bytes have been moved; false when they cannot be.
func moveAll(_ count: Int, _ move: (Int, Int) -> Int) -> Bool {
  var at = 0
  while at < count {
    let moved = move(at, count - at)
    if moved == 0 || moved < 0 && errno != EINTR { return false }
    at += max(0, moved)
  }
  return true
}
