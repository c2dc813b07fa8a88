// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Takes in what ``ImageSender`` sends, and makes of it what `xl restore` reads.
///
/// Reads no byte past the end that the other side has set.
struct ImageReceiver: ~Copyable {
  private let input: Int32
  /// Pages that came ahead, in the order in which they came first.
  private var pages: UnsafeMutableRawBufferPointer
  /// Where each lies in it, by PFN, in pages.
  private var places: [UInt32: Int] = [:]
  private let body: UnsafeMutableRawBufferPointer

  /// - Parameter input: the connection to the source.
  init(input: Int32) {
    self.input = input
    pages = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    body = .allocate(byteCount: 1 << 20, alignment: 4096)
  }

  deinit {
    pages.deallocate()
    body.deallocate()
  }

  /// Takes in what comes ahead, until that has ended; only once.
  ///
  /// - Parameter most: how many pages may come, each as often as it likes.
  /// - Returns: false when the other side is gone, or sends anything else.
  mutating func receiveAhead(most: Int) -> Bool {
    // Places in the memory of before would be none in that of now.
    guard pages.baseAddress == nil else { return false }
    pages = .allocate(byteCount: most * ImageMessage.pageBytes, alignment: 4096)
    places.reserveCapacity(most)
    while let (kind, count) = header() {
      if kind == .end { return true }
      guard kind == .ahead else { return false }
      for _ in 0..<count {
        var pfn: UInt32 = 0
        guard receive(&pfn, 4) else { return false }
        let place = places[UInt32(littleEndian: pfn)] ?? places.count
        guard place < most,
          receive(pages.baseAddress! + place * ImageMessage.pageBytes, ImageMessage.pageBytes)
        else { return false }
        places[UInt32(littleEndian: pfn)] = place
      }
    }
    return false
  }

  /// Hands on what there is of the image.
  ///
  /// - Parameter output: `xl restore` reads from it.
  mutating func step(to output: Int32) -> ImageStep {
    var ready = pollfd(fd: input, events: Int16(POLLIN), revents: 0)
    guard poll(&ready, 1, 100) > 0 else { return .idle }
    guard let (kind, count) = header() else { return .broken }
    guard receive(body.baseAddress!, count * kind.itemBytes) else { return .broken }
    switch kind {
    case .end: return .end
    case .ahead: return .broken
    case .bytes: return send(body.baseAddress!, count, to: output) ? .moved : .broken
    case .same: return sendSame(count, to: output) ? .moved : .broken
    case .zero:
      let bytes = count * ImageMessage.pageBytes
      memset(body.baseAddress!, 0, bytes)
      return send(body.baseAddress!, bytes, to: output) ? .moved : .broken
    }
  }

  /// Hands on pages that came ahead; those that lie next to one another together.
  private func sendSame(_ count: Int, to output: Int32) -> Bool {
    var run = 0..<0
    func sendRun() -> Bool {
      run.isEmpty
        || send(
          pages.baseAddress! + run.lowerBound * ImageMessage.pageBytes,
          run.count * ImageMessage.pageBytes, to: output)
    }
    for index in 0..<count {
      let pfn = UInt32(littleEndian: body.load(fromByteOffset: 4 * index, as: UInt32.self))
      guard let place = places[pfn] else { return false }
      if place == run.upperBound, !run.isEmpty {
        run = run.lowerBound..<place + 1
      } else {
        guard sendRun() else { return false }
        run = place..<place + 1
      }
    }
    return sendRun()
  }

  private func header() -> (kind: ImageMessage, count: Int)? {
    var word: UInt32 = 0
    return receive(&word, 4) ? ImageMessage.parse(UInt32(littleEndian: word)) : nil
  }

  private func receive(_ bytes: UnsafeMutableRawPointer, _ count: Int) -> Bool {
    moveAll(count) { read(input, bytes + $0, $1) }
  }

  private func send(_ bytes: UnsafeRawPointer, _ count: Int, to output: Int32) -> Bool {
    moveAll(count) { write(output, bytes + $0, $1) }
  }
}
