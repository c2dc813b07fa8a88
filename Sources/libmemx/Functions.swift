// SPDX-License-Identifier: Apache-2.0
//
// What memx.h declares, and says all about.
import CLibMemx
import Glibc
import RemoteMemory

private typealias Handle = Unmanaged<RemoteMemory>

private func memory(_ handle: OpaquePointer) -> RemoteMemory {
  Handle.fromOpaque(UnsafeRawPointer(handle)).takeUnretainedValue()
}

private func handle(_ memory: RemoteMemory) -> OpaquePointer {
  OpaquePointer(Handle.passRetained(memory).toOpaque())
}

@_cdecl("memx_open")
public func memxOpen(
  _ options: UnsafePointer<memx_options>?, _ memory: UnsafeMutablePointer<OpaquePointer?>,
  _ error: UnsafeMutablePointer<CChar>?, _ error_bytes: Int
) -> Int32 {
  CMessage(error, error_bytes).catching { () throws(RemoteMemoryError) in
    let configuration = try memx_options(options).configuration()
    memory.pointee = handle(try RemoteMemory(configuration))
    return 0
  }
}

@_cdecl("memx_receive")
public func memxReceive(
  _ socket: Int32, _ timeout_ms: Int32, _ mappings: UnsafeMutablePointer<memx_mapping>,
  _ count: UnsafeMutablePointer<Int>, _ error: UnsafeMutablePointer<CChar>?, _ error_bytes: Int
) -> Int32 {
  CMessage(error, error_bytes).catching { () throws(RemoteMemoryError) in
    let handed = try HandOver.receive(from: socket, timeout_ms: timeout_ms)
    let descriptor = try duplicate(handed.userfaultfd.fileDescriptor)
    for (index, mapping) in handed.mappings.enumerated() {
      mappings[index] = memx_mapping(
        address: mapping.address, length: mapping.length, offset: mapping.offset)
    }
    count.pointee = handed.mappings.count
    return descriptor
  }
}

@_cdecl("memx_open_handed")
public func memxOpenHanded(
  _ options: UnsafePointer<memx_options>?, _ userfaultfd: Int32,
  _ mappings: UnsafePointer<memx_mapping>?, _ count: Int,
  _ memory: UnsafeMutablePointer<OpaquePointer?>, _ error: UnsafeMutablePointer<CChar>?,
  _ error_bytes: Int
) -> Int32 {
  CMessage(error, error_bytes).catching { () throws(RemoteMemoryError) in
    let configuration = try memx_options(options).configuration()
    guard let mappings else { throw RemoteMemoryError("mappings: NULL") }
    let handed = UnsafeBufferPointer(start: mappings, count: count).map {
      HandedMapping(address: $0.address, length: $0.length, offset: $0.offset)
    }
    try HandOver.check(handed)
    var table = UserfaultfdTable()
    try table.append(try adopt(userfaultfd))
    memory.pointee = handle(
      try RemoteMemory(
        configuration, areas: handed.map { $0.area(userfaultfd: 0) }, userfaultfds: table))
    return 0
  }
}

/// Adopts a duplicate: the caller's stays the caller's.
private func adopt(_ descriptor: Int32) throws(RemoteMemoryError) -> Userfaultfd {
  let own = try duplicate(descriptor)
  do throws(RemoteMemoryError) { return try Userfaultfd(adopting: own) } catch {
    close(own)
    throw error
  }
}

private func duplicate(_ descriptor: Int32) throws(RemoteMemoryError) -> Int32 {
  let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
  guard copy >= 0 else { throw .system("userfaultfd \(descriptor)", errno) }
  return copy
}

@_cdecl("memx_base")
public func memxBase(_ handle: OpaquePointer) -> UnsafeMutableRawPointer? { memory(handle).base }

@_cdecl("memx_slots")
public func memxSlots(_ handle: OpaquePointer) -> UInt64 { memory(handle).slots }

@_cdecl("memx_stats")
public func memxStats(
  _ handle: OpaquePointer, _ stats: UnsafeMutableRawPointer, _ size: Int
) {
  let known = MemoryLayout<memx_stats>.size
  withUnsafeBytes(of: memx_stats(memory(handle).report)) {
    stats.copyMemory(from: $0.baseAddress!, byteCount: min(size, known))
  }
  if size > known { memset(stats + known, 0, size - known) }
}

@_cdecl("memx_wait")
public func memxWait(
  _ handle: OpaquePointer, _ timeout_ms: Int32, _ error: UnsafeMutablePointer<CChar>?,
  _ error_bytes: Int
) -> Int32 {
  CMessage(error, error_bytes).catching { () throws(RemoteMemoryError) in
    guard try memory(handle).waitUntilComplete(timeout_ms: timeout_ms) else {
      throw RemoteMemoryError("not every page has come within \(timeout_ms) ms", code: ETIMEDOUT)
    }
    return 0
  }
}

@_cdecl("memx_touches")
public func memxTouches(
  _ handle: OpaquePointer, _ extents: UnsafeMutablePointer<memx_extent>?, _ count: Int
) -> Int {
  let touches = memory(handle).touches
  if let extents {
    for (index, extent) in touches.prefix(count).enumerated() {
      extents[index] = memx_extent(slot: extent.slot, count: extent.count, reserved: 0)
    }
  }
  return touches.count
}

@_cdecl("memx_stop")
public func memxStop(_ handle: OpaquePointer) { memory(handle).stop() }

@_cdecl("memx_close")
public func memxClose(_ handle: OpaquePointer?) {
  guard let handle else { return }
  Handle.fromOpaque(UnsafeRawPointer(handle)).release()
}
