// SPDX-License-Identifier: Apache-2.0
import Glibc
import RMAP

/// What a service tells its server, in the wire's form, where it can stay until it is answered.
final class ServiceBuffers {
  let hintCount: Int
  let begin: UnsafeMutableRawPointer
  let beginBytes: Int
  let end: UnsafeMutableRawPointer
  let endBytes: Int
  private let order: UnsafeMutableRawPointer
  private let extents: Int
  private let pieces: UnsafeMutableRawPointer

  init(_ configuration: RemoteMemoryConfiguration) {
    extents = min(configuration.order.count, Wire.maxOrderExtents)
    hintCount = (extents + Wire.maxHintExtents - 1) / Wire.maxHintExtents
    order = .allocate(byteCount: max(1, extents) * Wire.extentBytes, alignment: 8)
    for index in 0..<extents { configuration.order[index].store(in: order, at: index) }
    let request = BeginRequest(
      strategy: configuration.strategy, rate_bytes_s: configuration.rate_bytes_s,
      extents: extents
    ).payload
    begin = Self.copy(request)
    beginBytes = request.count
    let goodbye = EndRequest().payload
    end = Self.copy(goodbye)
    endBytes = goodbye.count
    pieces = .allocate(
      byteCount: configuration.queueDepth * SlotStates.pieceBytes, alignment: 64)
  }

  deinit {
    order.deallocate()
    begin.deallocate()
    end.deallocate()
    pieces.deallocate()
  }

  private static func copy(_ bytes: [UInt8]) -> UnsafeMutableRawPointer {
    let copy = UnsafeMutableRawPointer.allocate(byteCount: bytes.count, alignment: 8)
    copy.copyMemory(from: bytes, byteCount: bytes.count)
    return copy
  }

  /// The extents of one HINT.
  func hint(_ index: Int) -> UnsafeMutableRawPointer {
    order + index * Wire.maxHintExtents * Wire.extentBytes
  }

  func hintBytes(_ index: Int) -> Int {
    min(Wire.maxHintExtents, extents - index * Wire.maxHintExtents) * Wire.extentBytes
  }

  /// Room for a piece of the bitmap of what is here, one for each request under way.
  func piece(_ index: Int) -> UnsafeMutableRawPointer { pieces + index * SlotStates.pieceBytes }
}
