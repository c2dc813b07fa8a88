// SPDX-License-Identifier: Apache-2.0
import CVerbs
import Glibc
import RMAP
import SystemPackage

// A client's own way to its server's memory.
extension VerbsLink {
  /// A one-sided operation that has completed.
  public struct Finished: Sendable {
    /// As it was given.
    public var id: Int
    var status: UInt32

    public var succeeded: Bool { status == 0 }
    /// Whether the server's device has refused it: its key is not, or no longer, good for that memory.
    public var wasRefused: Bool { memx_verbs_is_access_error(status) }
    /// What went wrong, in the library's words.
    public var reason: String { String(cString: memx_verbs_status_text(status)) }
  }

  /// Registers a client's own memory for one-sided operations.
  ///
  /// - Returns: the key that they take.
  public mutating func register(
    _ memory: UnsafeMutableRawBufferPointer
  ) throws(LinkError) -> UInt32 {
    guard let handle = memx_verbs_register(verbs, memory.baseAddress, memory.count, 0) else {
      throw LinkError(
        "link rdma:\(name): cannot register \(memory.count) bytes: \(Errno(rawValue: errno))",
        code: errno)
    }
    exposed.append(ExposedMemory(memory: memory, handle: handle))
    return memx_verbs_local_key(handle)
  }

  /// Makes buffers that the server may write pushes to, once.
  public mutating func openPushBuffers() throws(LinkError) -> PushBuffers {
    if pushBuffers == nil {
      pushBuffers = RegisteredBuffers(
        verbs, count: Wire.pushWindow, stride: Wire.pushBufferBytes,
        access: UInt32(MEMX_VERBS_REMOTE_WRITE))
    }
    guard let pushBuffers else {
      throw LinkError(
        "link rdma:\(name): cannot register buffers for pushes: \(Errno(rawValue: errno))",
        code: errno)
    }
    return PushBuffers(
      address: UInt64(UInt(bitPattern: pushBuffers.base)), key: pushBuffers.remoteKey)
  }

  /// Reads a page of the server's; `flush` hands it over. At most `Options.oneSided` may be under way.
  ///
  /// - Parameters:
  ///   - id: comes back in `takeFinished`; below 2³².
  ///   - page: 4,096 bytes of registered memory.
  ///   - localKey: of that memory.
  ///   - address: at the server.
  ///   - key: the server's.
  @inline(__always)
  public mutating func read(
    _ id: Int, to page: UnsafeMutableRawPointer, localKey: UInt32, from address: UInt64, key: UInt32
  ) {
    memx_verbs_read(
      connections[0].handle, Work.id(Work.oneSided, id), page, UInt32(Wire.pageBytes), localKey,
      address, key)
    markGathered(0)
  }

  /// Writes a page of the server's; as `read`.
  @inline(__always)
  public mutating func write(
    _ id: Int, from page: UnsafeRawPointer, localKey: UInt32, to address: UInt64, key: UInt32
  ) {
    memx_verbs_write(
      connections[0].handle, Work.id(Work.oneSided, id), page, UInt32(Wire.pageBytes), localKey,
      address, key)
    markGathered(0)
  }

  /// A one-sided operation that has completed since the last call; nil when none has.
  public mutating func takeFinished() -> Finished? {
    if finishedCount == 0 { takeSends() }
    guard finishedCount > 0 else { return nil }
    finishedCount -= 1
    return finished[finishedCount]
  }
}
