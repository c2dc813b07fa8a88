// SPDX-License-Identifier: Apache-2.0
import Console
import Glibc

/// The bytes of a page.
public let pageBytes = 4096
/// The 64-bit words of a page.
public let pageWords = 512

/// Anonymous private memory straight from `mmap`: zeroed, page-aligned, swappable, and touched by
/// nothing but the workload that owns it.
public struct MappedMemory: ~Copyable {
  /// The first byte.
  public let base: UnsafeMutableRawPointer
  /// How many whole pages there are.
  public let pages: Int

  /// Maps `pages` pages.
  ///
  /// - Parameter hugePages: whether the kernel may back it with huge pages. It splits them before
  ///   it swaps them out, so without them a run shows the device more evenly.
  /// - Throws: ``SystemError`` as `mmap` gives it.
  public init(pages: Int, hugePages: Bool) throws(SystemError) {
    precondition(pages > 0, "memory has at least one page")
    let mapped = mmap(
      nil, pages * pageBytes, PROT_READ | PROT_WRITE,
      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let mapped, mapped != MAP_FAILED else { throw SystemError() }
    // A kernel without huge pages refuses the advice; then there are none to be had anyway.
    if !hugePages { madvise(mapped, pages * pageBytes, MADV_NOHUGEPAGE) }
    base = mapped
    self.pages = pages
  }

  deinit { munmap(base, pages * pageBytes) }

  /// The memory as 64-bit words.
  @inline(__always) var words: UnsafeMutablePointer<UInt64> {
    base.assumingMemoryBound(to: UInt64.self)
  }
}
