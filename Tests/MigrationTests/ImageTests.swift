// SPDX-License-Identifier: Apache-2.0
import Console
import Glibc
import Processes
import TestSupport
import Testing

@testable import Migration

/// What `xl save` writes, on its way to `xl restore`.
@Suite struct ImageTests {
  private static func contents(_ seed: UInt64) -> [UInt8] {
    var generator = SeededGenerator(seed: seed)
    return (0..<512).flatMap { _ in
      withUnsafeBytes(of: UInt64.random(in: 0...UInt64.max, using: &generator)) { Array($0) }
    }
  }

  /// Pages in the order of their PFNs, every seventh of which the guest does not have.
  private static func image(_ count: UInt64, perRecord: Int = 1024) -> MadeUpImage {
    MadeUpImage(
      (0..<count).map { ($0 * 3, $0 % 7 == 6 ? nil : contents($0)) }, perRecord: perRecord)
  }

  /// Cuts `bytes` at places that come from a seed, has the parser look at each piece, and returns the pages.
  private static func pages(_ bytes: [UInt8], seed: UInt64) -> [(pfn: UInt64, offset: Int)] {
    var generator = SeededGenerator(seed: seed)
    var parser = ImageParser()
    var found: [(UInt64, Int)] = []
    var (from, there) = (0, 0)
    while from < bytes.count {
      there = min(bytes.count, there + Int.random(in: 1...20_000, using: &generator))
      bytes.withUnsafeBytes { all in
        while case let piece = parser.next(UnsafeRawBufferPointer(rebasing: all[from..<there])),
          piece != .unknown
        {
          switch piece {
          case .page(let pfn):
            found.append((pfn, from))
            from += 4096
          case .bytes(let count): from += count
          case .unknown: break
          }
        }
      }
      if there == bytes.count { break }
    }
    return found
  }

  @Test(arguments: 1...20)
  func everyPageIsFound(seed: UInt64) {
    let image = Self.image(300, perRecord: Int(seed) * 17)
    let found = Self.pages(image.bytes, seed: seed)
    #expect(found.map(\.pfn) == image.pages.map(\.pfn))
    #expect(found.map(\.offset) == image.pages.map(\.offset))
  }

  /// Anything else is just bytes: damaged at one place, with the seed to find it again.
  @Test(arguments: 1...200)
  func damageLosesNothing(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    var bytes = Self.image(40, perRecord: 16).bytes
    for _ in 0..<Int.random(in: 1...4, using: &generator) {
      // Headers are what matters.
      let at = Int.random(in: 0..<(seed % 2 == 0 ? 400 : bytes.count), using: &generator)
      bytes[at] = UInt8.random(in: 0...255, using: &generator)
    }
    if seed % 3 == 0 { bytes.removeLast(Int.random(in: 0..<bytes.count, using: &generator)) }
    #expect(try Self.carry(bytes, ahead: []).restored == bytes)
  }

  /// Sends an image, after these pages; files are in place of pipes and connections.
  private static func carry(
    _ image: [UInt8], ahead: [(pfn: UInt64, contents: [UInt8])]
  ) throws -> (restored: [UInt8], sent: UInt64) {
    let (saved, wire, restored) = (try File(), try File(), try File())
    #expect(writeAll(image, to: saved.descriptor))
    saved.rewind()
    var sender = ImageSender(output: wire.descriptor)
    for page in ahead {
      let isSent = page.contents.withUnsafeBytes {
        sender.sendAhead(pfn: page.pfn, $0.baseAddress!)
      }
      #expect(isSent)
    }
    if !ahead.isEmpty {
      let isFinished = sender.finishAhead()
      #expect(isFinished)
    }
    while sender.step(from: saved.descriptor) == .moved {}
    let isWhole = sender.finish()
    #expect(isWhole)

    wire.rewind()
    var receiver = ImageReceiver(input: wire.descriptor)
    if !ahead.isEmpty {
      let isThere = receiver.receiveAhead(most: ahead.count)
      #expect(isThere)
    }
    var last = ImageStep.moved
    while last == .moved { last = receiver.step(to: restored.descriptor) }
    #expect(last == .end)
    restored.rewind()
    return (restored.contents(), sender.bytes)
  }

  /// A file without a name.
  private final class File {
    let descriptor: Int32

    init() throws {
      let directory = try TemporaryDirectory()
      descriptor = open("\(directory.path)/file", O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
      try #require(descriptor >= 0)
    }

    deinit { close(descriptor) }

    func rewind() { lseek(descriptor, 0, SEEK_SET) }

    func contents() -> [UInt8] { readAll(descriptor) }
  }

  @Test func samePagesDoNotGoTwice() throws {
    let image = Self.image(2000)
    let pages = image.pages.map {
      (pfn: $0.pfn, contents: Array(image.bytes[$0.offset..<$0.offset + 4096]))
    }
    let (restored, sent) = try Self.carry(image.bytes, ahead: pages.reversed())
    #expect(restored == image.bytes)
    #expect(sent < UInt64(image.bytes.count - 4096 * pages.count + 8 * pages.count + 65536))
  }

  /// Whether they went ahead or not, and also more in a row than a message may count.
  @Test(arguments: 1...10)
  func pagesOfZerosTakeNoBytes(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let zeros = [UInt8](repeating: 0, count: 4096)
    // Hardly zeros.
    let others = [0, 8, 4095].map { at in zeros.indices.map { UInt8($0 == at ? 1 : 0) } }
    let image = MadeUpImage(
      (0..<1500).map { pfn in
        let isZeros = pfn >= 700 || Bool.random(using: &generator)
        return (UInt64(pfn), isZeros ? zeros : others.randomElement(using: &generator)!)
      }, perRecord: 300)
    let ahead = (0..<200).map { (pfn: UInt64($0 * 2), contents: Self.contents($0)) }
    let (restored, sent) = try Self.carry(image.bytes, ahead: ahead)
    #expect(restored == image.bytes)
    let isZeros = image.pages.map { Array(image.bytes[$0.offset..<$0.offset + 4096]) == zeros }
    let whole = image.bytes.count - 4096 * isZeros.count { $0 }
    #expect(sent >= UInt64(whole) && sent < UInt64(whole + 8 * image.pages.count + 4096))
  }

  @Test(arguments: 1...10)
  func changedPagesGoAgain(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let image = Self.image(600, perRecord: 100)
    var changed = 0
    var ahead: [(pfn: UInt64, contents: [UInt8])] = []
    for page in image.pages where Bool.random(using: &generator) {
      var contents = Array(image.bytes[page.offset..<page.offset + 4096])
      if Int.random(in: 0..<4, using: &generator) == 0 {
        contents[Int.random(in: 0..<4096, using: &generator)] ^= 1
        changed += 1
      }
      ahead.append((page.pfn, contents))
    }
    // A page that the image does not have.
    ahead.append((1_000_000, Self.contents(1)))
    // Each has changed on its way ahead.
    let before = ahead.map { (pfn: $0.pfn, contents: Self.contents($0.pfn + 1)) }
    let (restored, sent) = try Self.carry(
      image.bytes,
      ahead: before.shuffled(using: &generator) + ahead.shuffled(using: &generator))
    #expect(restored == image.bytes)
    let expected = image.bytes.count - 4096 * (ahead.count - 1 - changed)
    #expect(sent >= UInt64(expected) && sent < UInt64(expected + 16 * image.pages.count + 4096))
  }

  /// What is no image ends the connection, and takes no more memory than was agreed on.
  @Test(arguments: [
    [ImageMessage.same.header(count: 1), 7],  // never sent ahead
    [ImageMessage.ahead.header(count: 1)],  // not at this time
    [ImageMessage.bytes.header(count: ImageMessage.bytes.mostItems) + 1],  // too much at once
    [ImageMessage.zero.header(count: ImageMessage.zero.mostItems) + 1],
    [7 << 29],  // no such kind
    [ImageMessage.end.rawValue + 1],
    [ImageMessage.bytes.header(count: 5), 0],  // cut off
  ])
  func otherMessages(words: [UInt32]) throws {
    let (wire, restored) = (try Pipe(), try Pipe())
    words.withUnsafeBytes { _ = write(wire.writeEnd, $0.baseAddress!, $0.count) }
    wire.closeWriteEnd()
    var receiver = ImageReceiver(input: wire.readEnd)
    let step = receiver.step(to: restored.writeEnd)
    #expect(step == .broken)
  }

  /// One may come again, but not more than was agreed on.
  @Test(arguments: [
    (most: 1, pfns: [1, 2], isFine: false), (most: 2, pfns: [4, 5, 4, 5], isFine: true),
  ])
  func pagesAhead(most: Int, pfns: [UInt32], isFine: Bool) throws {
    let wire = try Pipe()
    let page = [UInt8](repeating: 1, count: 4096)
    var bytes: [UInt8] = []
    for pfn in pfns {
      for word in [ImageMessage.ahead.header(count: 1), pfn] {
        withUnsafeBytes(of: word.littleEndian) { bytes += $0 }
      }
      bytes += page
    }
    bytes += [0, 0, 0, 0]
    #expect(writeAll(bytes, to: wire.writeEnd))
    var receiver = ImageReceiver(input: wire.readEnd)
    let isThere = receiver.receiveAhead(most: most)
    #expect(isThere == isFine)
    // Once is enough.
    #expect(writeAll([0, 0, 0, 0], to: wire.writeEnd))
    let isThereAgain = receiver.receiveAhead(most: most)
    #expect(!isThereAgain)
  }
}
