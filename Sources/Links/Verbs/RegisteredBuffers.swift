// SPDX-License-Identifier: Apache-2.0
import CVerbs

/// Buffers of one size that the device may reach.
struct RegisteredBuffers {
  let base: UnsafeMutableRawPointer
  let count: Int
  let stride: Int
  let localKey: UInt32
  private let memory: OpaquePointer

  /// nil, and errno, when they cannot be registered.
  init?(_ verbs: OpaquePointer, count: Int, stride: Int) {
    let base = UnsafeMutableRawPointer.allocate(byteCount: count * stride, alignment: 4096)
    base.initializeMemory(as: UInt8.self, repeating: 0, count: count * stride)
    guard let memory = memx_verbs_register(verbs, base, count * stride, 0) else {
      base.deallocate()
      return nil
    }
    self.base = base
    self.count = count
    self.stride = stride
    self.memory = memory
    localKey = memx_verbs_local_key(memory)
  }

  @inline(__always)
  subscript(index: Int) -> UnsafeMutableRawPointer { base + index * stride }

  /// To be called once, when the device uses them no more.
  func free() {
    memx_verbs_deregister(memory)
    base.deallocate()
  }
}
