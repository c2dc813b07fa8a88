// SPDX-License-Identifier: Apache-2.0
import CMemx
import Glibc
import SystemPackage

/// How an arena's memory is to be had.
public struct MemoryOptions: Sendable {
  /// Ask for transparent huge pages (an arena on hugetlbfs has huge pages anyway).
  public var hugePages: Bool
  /// Keep the memory resident (`mlock`); reserves all of it at the start.
  public var lock: Bool

  public init(hugePages: Bool = true, lock: Bool = false) {
    self.hugePages = hugePages
    self.lock = lock
  }
}

/// A piece of address space, anonymous or of a file, unmapped at the end of its life.
struct Mapping: ~Copyable {
  let base: UnsafeMutableRawPointer
  let byteCount: Int
  private let isFile: Bool
  /// Memory that is cleared stays with the mapping: it is locked, or it is of huge pages that were set
  /// aside for it. To give one of those back is to lose its reservation: should another process take it,
  /// the next access would end in SIGBUS.
  private let isKept: Bool

  /// Maps `byteCount` bytes of anonymous memory, which reads as zeros and is given pages on first use.
  init(
    anonymous byteCount: Int, options: MemoryOptions = MemoryOptions(hugePages: false)
  ) throws(StoreError) {
    try self.init(
      fd: -1, byteCount, flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, options)
  }

  /// Maps the first `byteCount` bytes of an open file, shared, so that they outlive the process.
  init(
    file: FileDescriptor, byteCount: Int, options: MemoryOptions = MemoryOptions(hugePages: false)
  ) throws {
    guard ftruncate(file.rawValue, off_t(byteCount)) == 0 else {
      throw StoreError.system("cannot make the file \(byteCount) bytes long")
    }
    try self.init(fd: file.rawValue, byteCount, flags: MAP_SHARED, options)
  }

  private init(
    fd: Int32, _ byteCount: Int, flags: Int32, _ options: MemoryOptions
  ) throws(StoreError) {
    guard let base = mmap(nil, byteCount, PROT_READ | PROT_WRITE, flags, fd, 0),
      base != MAP_FAILED
    else { throw StoreError.system("cannot map \(byteCount) bytes") }
    if options.hugePages {
      // Only advice: without huge pages in the system all works, a little slower.
      _ = madvise(base, byteCount, Int32(MEMX_MADV_HUGEPAGE))
    }
    if options.lock, mlock(base, byteCount) != 0 {
      let code = errno
      munmap(base, byteCount)
      throw StoreError.system(
        "cannot lock \(byteCount) bytes in memory (raise the limit: ulimit -l, or LimitMEMLOCK= in"
          + " the unit)", code)
    }
    self.base = base
    self.byteCount = byteCount
    isFile = fd >= 0
    isKept = options.lock || isFile && memx_is_hugetlbfs(fd)
  }

  deinit { munmap(base, byteCount) }

  /// Makes a range read as zeros, and gives its memory back to the system unless it is to be kept.
  func clear(offset: Int, count: Int) {
    let start = base + offset
    if isKept || madvise(start, count, Int32(isFile ? MEMX_MADV_REMOVE : MEMX_MADV_DONTNEED)) != 0 {
      start.initializeMemory(as: UInt8.self, repeating: 0, count: count)
    }
  }

  /// Writes a file's changes back, as before a clean end.
  func synchronize() {
    if isFile { _ = msync(base, byteCount, MS_SYNC) }
  }
}
