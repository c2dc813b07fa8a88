// SPDX-License-Identifier: Apache-2.0
import CMemx

/// The page touches of a real program, recorded by `tools/record-trace`.
///
/// The file, all numbers little-endian:
///
///     bytes  0–7   "memxtrac"
///     bytes  8–11  version, 1
///     bytes 12–15  pages: how many different pages are touched, 1 to 2²⁸
///     bytes 16–19  touches, 1 to 2²⁶
///     bytes 20–23  how many bytes follow the header
///     bytes 24–31  their XXH64 with seed 0
///
/// and for each touch two varints (7 bits a byte, low ones first, the high bit set in all but the
/// last): twice the zigzag-coded difference of its page to that of the touch before (0 at first),
/// plus 1 when the page is written; and the instructions since that touch, at most 2³¹-1. Pages
/// are numbered from 0 in order of address, and each is touched.
public struct PageTrace: Sendable, Equatable {
  /// A page touched.
  public struct Touch: Sendable, Equatable {
    private let pageAndWrites: UInt32
    private let instructionsBefore: UInt32

    init(page: Int, writes: Bool, instructions: Int) {
      pageAndWrites = UInt32(page) << 1 | (writes ? 1 : 0)
      instructionsBefore = UInt32(instructions)
    }

    /// Which page.
    public var page: Int { Int(pageAndWrites >> 1) }
    /// Whether it was written, at once or before others took its place in the recorder's TLB.
    public var writes: Bool { pageAndWrites & 1 == 1 }
    /// The instructions since the touch before.
    public var instructions: Int { Int(instructionsBefore) }
  }

  /// The most bytes of a file.
  public static let bytesMax = 1 << 28
  private static let headerBytes = 32
  private static let touchesMax = 1 << 26

  /// How many pages there are.
  public let pages: Int
  /// What was touched, in order.
  public let touches: [Touch]
  /// The checksum of the touches, by which one trace is told from another.
  public let checksum: UInt64

  /// The trace in `file`.
  ///
  /// - Throws: ``BadProgram`` when a field is not what the format says or does not fit the rest.
  public init(_ file: [UInt8]) throws(BadProgram) {
    func field(_ start: Int, _ count: Int) -> UInt64 {
      (0..<count).reduce(0) { $0 | UInt64(file[start + $1]) << UInt64($1 * 8) }
    }
    guard file.count >= Self.headerBytes, file.starts(with: "memxtrac".utf8) else {
      throw BadProgram("this is not a trace: it does not start as one")
    }
    guard field(8, 4) == 1 else { throw BadProgram("the trace has version \(field(8, 4)), not 1") }
    let pages = Int(field(12, 4))
    let count = Int(field(16, 4))
    guard 1...MovableParameters.pagesMax ~= pages else {
      throw BadProgram("the trace has \(pages) pages, not 1 to \(MovableParameters.pagesMax)")
    }
    guard count >= pages, count <= Self.touchesMax else {
      throw BadProgram("the trace has \(count) touches, not \(pages) to \(Self.touchesMax)")
    }
    let length = file.count - Self.headerBytes
    guard Int(field(20, 4)) == length else {
      throw BadProgram("the trace says \(field(20, 4)) bytes after its header and has \(length)")
    }
    // A touch has two bytes at least: no count makes us reserve more than a file's worth.
    guard count <= length / 2 else {
      throw BadProgram("the trace says \(count) touches in \(length) bytes")
    }
    let checksum = file.withUnsafeBytes {
      memx_xxh64($0.baseAddress! + Self.headerBytes, length, 0)
    }
    guard field(24, 8) == checksum else {
      throw BadProgram("the trace is damaged: its checksum does not match")
    }

    var at = Self.headerBytes
    var touches: [Touch] = []
    touches.reserveCapacity(count)
    var isTouched = [Bool](repeating: false, count: pages)
    var touched = 0
    var page = 0
    for index in 0..<count {
      let move = try varint(file, &at)
      let instructions = try varint(file, &at)
      let zigzag = Int64(bitPattern: move >> 1)
      // Within twice the pages, so that the sum cannot overflow.
      guard zigzag <= Int64(2 * MovableParameters.pagesMax) else {
        throw BadProgram("touch \(index) of the trace moves too far")
      }
      page += Int(zigzag >> 1 ^ -(zigzag & 1))
      guard 0..<pages ~= page else {
        throw BadProgram("touch \(index) of the trace is of page \(page) of \(pages)")
      }
      guard instructions <= UInt64(Int32.max) else {
        throw BadProgram("touch \(index) of the trace comes after \(instructions) instructions")
      }
      if !isTouched[page] {
        isTouched[page] = true
        touched += 1
      }
      touches.append(
        Touch(page: page, writes: move & 1 == 1, instructions: Int(instructions)))
    }
    guard at == file.count else {
      throw BadProgram("the trace has \(file.count - at) bytes after its last touch")
    }
    guard touched == pages else {
      throw BadProgram("the trace says \(pages) pages and touches \(touched)")
    }
    self.pages = pages
    self.touches = touches
    self.checksum = checksum
  }
}

/// The varint at `at`, which moves past it.
private func varint(_ file: [UInt8], _ at: inout Int) throws(BadProgram) -> UInt64 {
  var value: UInt64 = 0
  for shift in Swift.stride(from: UInt64(0), to: 63, by: 7) {
    guard at < file.count else { throw BadProgram("the trace ends within a touch") }
    let byte = file[at]
    at += 1
    value |= UInt64(byte & 0x7f) << shift
    if byte < 0x80 {
      // One way to write each number.
      guard byte != 0 || shift == 0 else { break }
      return value
    }
  }
  throw BadProgram("byte \(at - 1) of the trace: a number is longer than it need be")
}
