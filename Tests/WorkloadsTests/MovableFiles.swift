// SPDX-License-Identifier: Apache-2.0
import CMemx

/// A trace as a file, written without the reader's help.
func traceFile(
  pages: Int, touches: [(page: Int, writes: Bool, instructions: Int)]
) -> [UInt8] {
  func varint(_ value: UInt64) -> [UInt8] {
    value < 128 ? [UInt8(value)] : [UInt8(value & 127) | 128] + varint(value >> 7)
  }
  var body: [UInt8] = []
  var last = 0
  for touch in touches {
    let move = touch.page - last
    last = touch.page
    let zigzag = UInt64(move < 0 ? -2 * move - 1 : 2 * move)
    body += varint(zigzag * 2 + (touch.writes ? 1 : 0)) + varint(UInt64(touch.instructions))
  }
  return traceFile(pages: pages, touches: touches.count, body: body)
}

/// A trace's header before `body`.
func traceFile(version: Int = 1, pages: Int, touches: Int, body: [UInt8]) -> [UInt8] {
  func little(_ value: UInt64, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(value >> UInt64($0 * 8) & 255) }
  }
  return Array("memxtrac".utf8) + little(UInt64(version), 4) + little(UInt64(pages), 4)
    + little(UInt64(touches), 4) + little(UInt64(body.count), 4)
    + little(memx_xxh64(body, body.count, 0), 8) + body
}

/// `state` with the checksum that its other words have.
func resealed(_ state: [UInt8]) -> [UInt8] {
  let words = Array(state.dropLast(8))
  let checksum = memx_xxh64(words, words.count, 0)
  return words + (0..<8).map { UInt8(checksum >> UInt64($0 * 8) & 255) }
}
