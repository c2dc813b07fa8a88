// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Carries a stream in chunks, each behind its length, so that its end is known though the connection stays.
///
/// A saved guest says itself where it ends, but a program that unpacks it wants to see the end of its input.
struct ChunkSender {
  let input: Int32
  let output: Int32
  /// Bytes carried so far, their lengths left out.
  private(set) var bytes: UInt64 = 0
  private var buffer = ChunkBuffer()

  init(input: Int32, output: Int32) {
    self.input = input
    self.output = output
  }

  /// Carries what there is.
  mutating func step() -> StreamStep {
    guard isReadable(input) else { return .idle }
    let count = buffer.fill(from: input)
    if count < 0 { return errno == EINTR ? .idle : .end }
    guard count > 0 else { return .end }
    guard buffer.sendChunk(of: count, to: output) else { return .broken }
    bytes += UInt64(count)
    return .moved
  }

  /// - Returns: false when nobody reads the output any more.
  mutating func finish() -> Bool { buffer.sendChunk(of: 0, to: output) }
}

/// The other end of ``ChunkSender``.
struct ChunkReceiver {
  let input: Int32
  let output: Int32
  private var buffer = ChunkBuffer()

  init(input: Int32, output: Int32) {
    self.input = input
    self.output = output
  }

  mutating func step() -> StreamStep {
    guard isReadable(input) else { return .idle }
    guard let count = buffer.receiveChunk(from: input) else { return .broken }
    guard count > 0 else { return .end }
    guard buffer.write(count, to: output) else { return .broken }
    return .moved
  }
}

private func isReadable(_ descriptor: Int32) -> Bool {
  var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
  return poll(&ready, 1, 100) > 0
}

/// Room for a chunk and its length, 32 bits, little-endian.
private struct ChunkBuffer {
  private static let most = 1 << 16
  private static let header = 4
  private var bytes = [UInt8](repeating: 0, count: header + most)

  /// Reads what there is, as `read(2)` does.
  mutating func fill(from input: Int32) -> Int {
    bytes.withUnsafeMutableBytes { read(input, $0.baseAddress! + Self.header, Self.most) }
  }

  mutating func sendChunk(of count: Int, to output: Int32) -> Bool {
    bytes.withUnsafeMutableBytes {
      $0.storeBytes(of: UInt32(count).littleEndian, as: UInt32.self)
    }
    return send(0..<Self.header + count, to: output)
  }

  /// Reads a whole chunk; nil when the other side is gone or speaks something else.
  mutating func receiveChunk(from input: Int32) -> Int? {
    guard receive(0..<Self.header, from: input) else { return nil }
    let length = bytes.withUnsafeBytes { UInt32(littleEndian: $0.load(as: UInt32.self)) }
    guard length <= Self.most else { return nil }
    let count = Int(length)
    return receive(Self.header..<Self.header + count, from: input) ? count : nil
  }

  func write(_ count: Int, to output: Int32) -> Bool {
    send(Self.header..<Self.header + count, to: output)
  }

  private func send(_ range: Range<Int>, to output: Int32) -> Bool {
    bytes.withUnsafeBytes { all in
      Self.wholly(range) { Glibc.write(output, all.baseAddress! + $0, $1) }
    }
  }

  private mutating func receive(_ range: Range<Int>, from input: Int32) -> Bool {
    bytes.withUnsafeMutableBytes { all in
      Self.wholly(range) { read(input, all.baseAddress! + $0, $1) }
    }
  }

  /// Calls `move` with an offset and a length until the range has been moved as a whole; false when it cannot be.
  private static func wholly(_ range: Range<Int>, _ move: (Int, Int) -> Int) -> Bool {
    var at = range.lowerBound
    while at < range.upperBound {
      let moved = move(at, range.upperBound - at)
      if moved == 0 || moved < 0 && errno != EINTR { return false }
      at += max(0, moved)
    }
    return true
  }
}
