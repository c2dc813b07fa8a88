// SPDX-License-Identifier: Apache-2.0
import CVerbs

/// Buffers of one size that the device may reach.
struct RegisteredBuffers {
  let base: UnsafeMutableRawPointer
  let count: Int
  let stride: Int
  let localKey: UInt32
  let remoteKey: UInt32
  private let memory: OpaquePointer

  /// nil, and errno, when they cannot be registered.
  ///
  /// - Parameter access: of the other end; nothing but what the device itself does, by default.
  init?(_ verbs: OpaquePointer, count: Int, stride: Int, access: UInt32 = 0) {
    let base = UnsafeMutableRawPointer.allocate(byteCount: count * stride, alignment: 4096)
    base.initializeMemory(as: UInt8.self, repeating: 0, count: count * stride)
    guard let memory = memx_verbs_register(verbs, base, count * stride, access) else {
      base.deallocate()
      return nil
    }
    self.base = base
    self.count = count
    self.stride = stride
    self.memory = memory
    localKey = memx_verbs_local_key(memory)
    remoteKey = memx_verbs_remote_key(memory)
  }

  @inline(__always)
  subscript(index: Int) -> UnsafeMutableRawPointer { base + index * stride }

  /// To be called once, when the device uses them no more.
  func free() {
    memx_verbs_deregister(memory)
    base.deallocate()
  }
}
