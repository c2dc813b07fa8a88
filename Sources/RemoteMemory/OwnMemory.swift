// SPDX-License-Identifier: Apache-2.0
import Glibc
import RMAP

/// Memory of this process for a region's pages, before the first of them has come: anonymous, private, and
/// not inherited by forked children, which would read zeros for missing pages.
public struct OwnMemory: ~Copyable, @unchecked Sendable {
  // Invariant behind @unchecked: nothing here changes between `init` and `deinit`.
  public let base: UnsafeMutableRawPointer
  public let pages: UInt64
  /// In bytes.
  public var length: UInt64 { pages * UInt64(Wire.pageBytes) }
  /// The address as userfaultfd names it.
  public var address: UInt64 { UInt64(UInt(bitPattern: base)) }

  /// - Parameter pages: above 0.
  public init(pages: UInt64) throws(RemoteMemoryError) {
    guard pages > 0, pages < 1 << 36 else {
      throw RemoteMemoryError("cannot map \(pages) pages")
    }
    let length = Int(pages) * Wire.pageBytes
    guard
      let base = mmap(
        nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
      base != MAP_FAILED
    else { throw .system("cannot map \(length) bytes", errno) }
    guard madvise(base, length, MADV_DONTFORK) == 0 else {
      let code = errno
      munmap(base, length)
      throw .system("cannot keep children from inheriting \(length) bytes", code)
    }
    self.base = base
    self.pages = pages
  }

  deinit { munmap(base, Int(length)) }
}
