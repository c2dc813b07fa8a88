// SPDX-License-Identifier: Apache-2.0
import CVerbs
import Glibc
import RMAP
import SystemPackage

/// Registered memory that windows can be opened on.
struct ExposedMemory {
  let memory: UnsafeMutableRawBufferPointer
  let handle: OpaquePointer

  func contains(_ part: UnsafeMutableRawBufferPointer) -> Bool {
    guard let start = part.baseAddress, let own = memory.baseAddress else { return false }
    return start >= own && start + part.count <= own + memory.count
  }
}

// A server's memory as its clients reach it. The registration gives nobody access; a window does, of type 2, which is
// bound to one queue pair: its key is of no use over another connection, and none at all once it is closed.
extension VerbsLink {
  /// Registers memory, which is locked from then on, for `openWindow`.
  ///
  /// - Throws: `LinkError` when the device has no windows, or the memory cannot be locked.
  public mutating func expose(_ memory: UnsafeMutableRawBufferPointer) throws(LinkError) {
    var abilities = memx_verbs_abilities()
    memx_verbs_abilities(verbs, &abilities)
    // Without windows the region is served by messages.
    guard abilities.windows else { return }
    let handle = memx_verbs_register(
      verbs, memory.baseAddress, memory.count, UInt32(MEMX_VERBS_WINDOWS))
    guard let handle else {
      throw LinkError(
        "link rdma:\(name): cannot register a region's \(memory.count) bytes: \(Errno(rawValue: errno))"
          + " (raise the limit of locked memory: ulimit -l, or LimitMEMLOCK= in the unit)",
        code: errno)
    }
    exposed.append(ExposedMemory(memory: memory, handle: handle))
  }

  public mutating func openWindow(
    on memory: UnsafeMutableRawBufferPointer, for peer: MACAddress
  ) -> UInt32? {
    guard let entry = entry(of: peer),
      let registered = exposed.first(where: { $0.contains(memory) })
    else { return nil }
    if let window = connections[entry].window { return memx_verbs_window_key(window) }
    let access = UInt32(MEMX_VERBS_REMOTE_READ | MEMX_VERBS_REMOTE_WRITE)
    connections[entry].window = memx_verbs_open_window(
      verbs, connections[entry].handle, registered.handle, memory.baseAddress, memory.count, access,
      Work.id(Work.bind, entry))
    return connections[entry].window.map { memx_verbs_window_key($0) }
  }

  /// Closes the windows of peers that are to have none.
  public mutating func closeWindows(unless mayHave: (MACAddress) -> Bool) {
    for entry in 0..<entryCount where connections[entry].window != nil {
      if !mayHave(peer(of: entry)) { closeWindow(entry) }
    }
  }

  public mutating func writePushes(to buffers: PushBuffers?, of peer: MACAddress) {
    if let entry = entry(of: peer) { connections[entry].pushBuffers = buffers }
  }

  mutating func closeWindow(_ entry: Int) {
    guard let window = connections[entry].window else { return }
    connections[entry].window = nil
    _ = memx_verbs_close_window(window)
  }
}
