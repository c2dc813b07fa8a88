// SPDX-License-Identifier: Apache-2.0
import CXen
import Glibc

/// Machine frames of a domain, next to one another in this program's address space, until the last reference goes.
public final class MappedFrames: @unchecked Sendable {
  // Invariant behind @unchecked: constant; the memory is only read.

  /// The first frame's 4,096 bytes, then the second's, and so on. A frame that has an error must not be touched.
  public let base: UnsafeRawPointer
  /// For each frame 0, or the value of `errno` that says why it could not be mapped.
  public let errors: [Int32]
  private let unmap: @Sendable () -> Void

  /// - Parameter unmap: called once, at the end.
  public init(base: UnsafeRawPointer, errors: [Int32], unmap: @escaping @Sendable () -> Void) {
    self.base = base
    self.errors = errors
    self.unmap = unmap
  }

  deinit { unmap() }
}

/// Maps machine frames of other domains.
public protocol FrameMapper: Sendable {
  /// Maps frames of a domain, read-only.
  ///
  /// - Parameters:
  ///   - frames: machine frame numbers, at least one.
  ///   - domain: whose they must be: Xen refuses others.
  /// - Throws: ``XenError`` when none could be mapped: the domain is gone, say.
  func map(_ frames: [UInt64], of domain: Int) throws(XenError) -> MappedFrames
}

/// Access to the memory of this host's domains, through the kernel's `privcmd`; for dom0 alone.
///
/// A mapping takes one hypercall and one piece of address space however many frames it has: map hundreds at a time
/// (65 µs a page in batches of 16 were seen under emulation, 690 µs singly). It holds on to its frames: a domain that
/// is destroyed gives them back when they are unmapped.
public final class ForeignMemory: FrameMapper, @unchecked Sendable {
  // Invariant behind @unchecked: the properties are constant; each call uses a descriptor, and shares nothing else.
  private let library: memx_foreign_memory
  private let handle: UnsafeMutableRawPointer

  /// Bytes of a machine frame.
  public static let frameBytes = 4096

  /// - Throws: ``XenError`` when the library or the device is missing.
  public init() throws(XenError) {
    var library = memx_foreign_memory()
    if let failure = memx_foreign_memory_load(&library) {
      throw XenError(
        "cannot use other domains' memory",
        reason: "\(String(cString: failure)); install the package libxenforeignmemory1")
    }
    guard let handle = library.open(nil, 0) else {
      let code = errno
      throw XenError(
        "cannot open /dev/xen/privcmd",
        reason: "\(String(cString: strerror(code))); this needs root in dom0 of a Xen host, and the"
          + " kernel's module xen-privcmd")
    }
    self.library = library
    self.handle = handle
  }

  deinit { _ = library.close(handle) }

  public func map(_ frames: [UInt64], of domain: Int) throws(XenError) -> MappedFrames {
    precondition(!frames.isEmpty)
    var errors = [Int32](repeating: 0, count: frames.count)
    let mapped = library.map(
      handle, UInt32(domain), PROT_READ, frames.count, frames.map { UInt($0) }, &errors)
    guard let mapped else {
      throw XenError("cannot map \(frames.count) frames of domain \(domain)", code: errno)
    }
    let (address, count) = (UInt(bitPattern: mapped), frames.count)
    return MappedFrames(base: UnsafeRawPointer(mapped), errors: errors.map { $0 < 0 ? -$0 : $0 }) {
      [self] in unmap(address, count)
    }
  }

  private func unmap(_ address: UInt, _ count: Int) {
    _ = library.unmap(handle, UnsafeMutableRawPointer(bitPattern: address), count)
  }
}
