// SPDX-License-Identifier: Apache-2.0
import Glibc
import RMAP
import RemoteMemory

/// New memory with a userfaultfd of its own, and the service of it.
struct UserfaultBed: ~Copyable {
  let memory: OwnMemory
  let fileDescriptor: Int32
  var placer: Placer

  init(pages: Int) throws {
    // Nothing is stored before the last of what can fail.
    let memory = try OwnMemory(pages: UInt64(pages))
    let userfaultfd = try Userfaultfd()
    try userfaultfd.register(address: memory.address, length: memory.length)
    let fileDescriptor = userfaultfd.fileDescriptor
    var table = UserfaultfdTable()
    try table.append(userfaultfd)
    let areas = try Areas(
      [Area(address: memory.address, pages: memory.pages)], slots: memory.pages, userfaultfds: 1)
    placer = Placer(areas: areas, userfaultfds: table, states: SlotStates(slots: memory.pages))
    self.fileDescriptor = fileDescriptor
    self.memory = memory
  }
}

/// Pages of random bytes, `stride` bytes apart from `offset` on.
struct FramePages: ~Copyable {
  let base: UnsafeMutableRawPointer
  private let stride: Int
  private let offset: Int

  init(pages: Int, stride: Int = Wire.pageBytes, offset: Int = 0) {
    self.stride = stride
    self.offset = offset
    let bytes = pages * stride + offset + Wire.pageBytes
    base = .allocate(byteCount: bytes, alignment: Wire.pageBytes)
    var random = SplitMix(state: 1)
    for word in 0..<bytes / 8 {
      base.storeBytes(of: random.next(), toByteOffset: word * 8, as: UInt64.self)
    }
  }

  deinit { base.deallocate() }

  @inline(__always)
  subscript(index: Int) -> UnsafeMutableRawPointer { base + (index * stride + offset) }
}
