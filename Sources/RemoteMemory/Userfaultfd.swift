// SPDX-License-Identifier: Apache-2.0
import CMemx
import Glibc
import RMAP

/// A userfaultfd: the kernel's way to let a thread supply the pages that others miss (userfaultfd(2)).
///
/// It belongs to the memory of the process that opened it, which may be another than the one that
/// reads it, so addresses are numbers of that process. Once the last descriptor is closed, missing pages
/// read as zeros: see that everything has arrived, or is poisoned, or that the program has ended.
public struct Userfaultfd: ~Copyable {
  /// Which faults must be served.
  public enum Faults: Sendable {
    /// Also those that the kernel takes on a program's behalf, as `read(2)` into a missing page.
    case all
    /// All if that is permitted; else those of programs alone, and a system call that comes upon a
    /// missing page fails with `EFAULT`.
    case userModeAtLeast
  }

  /// What became of pages that were to be placed.
  public struct Placement: Sendable, Equatable {
    /// Pages from the first on that are in place now.
    public var placed: Int
    /// Why the page behind them is not; nil when all are.
    public var obstacle: Obstacle?
  }

  /// Why a page was not placed. None of them has changed it.
  public enum Obstacle: Sendable, Equatable {
    /// A page is there already (`EEXIST`); it was left as it is.
    case alreadyThere
    /// The mapping is changing (`EAGAIN`): read the events, then try again.
    case changing
    /// Nothing is mapped and registered there any more (`ENOENT`).
    case unmapped
    /// The process has ended (`ESRCH`).
    case ended
    /// Another errno value, as `ENOMEM`.
    case failed(Int32)
  }

  /// To wait for events with `poll`; readable when there are some.
  public let fileDescriptor: Int32
  /// Whether faults that the kernel takes are served too; true of one handed over, as nothing tells.
  public let servesKernelFaults: Bool
  /// Whether it came from another process, whose memory it then is about.
  public let isAdopted: Bool

  /// Opens one for this process, with thread ids in its events.
  ///
  /// - Throws: what is missing: the sysctl `vm.unprivileged_userfaultfd`, `CAP_SYS_PTRACE`, or access to
  ///   `/dev/userfaultfd`.
  public init(serving faults: Faults = .all) throws(RemoteMemoryError) {
    let ways = [MEMX_UFFD_CALL, MEMX_UFFD_DEVICE, MEMX_UFFD_USER_ONLY]
    var codes: [Int32] = []
    for way in faults == .all ? ways.dropLast() : ways[...] {
      let fd = memx_uffd_open(way)
      guard fd >= 0 else {
        codes.append(-fd)
        continue
      }
      var granted: UInt64 = 0
      let wanted =
        UInt64(MEMX_UFFD_THREAD_ID) | UInt64(MEMX_UFFD_MISSING_SHMEM) | UInt64(MEMX_UFFD_POISON)
      let code = memx_uffd_agree(fd, way, wanted, &granted)
      guard code == 0 else {
        close(fd)
        throw .system("userfaultfd: the kernel refuses its API", code)
      }
      fileDescriptor = fd
      servesKernelFaults = way != MEMX_UFFD_USER_ONLY
      isAdopted = false
      return
    }
    throw Self.refusal(call: codes[0], device: codes[1])
  }

  /// Takes over a descriptor that another process has opened, agreed on and registered ranges with. It is
  /// closed at the end of this value's life; on an error, it stays the caller's.
  public init(adopting fileDescriptor: Int32) throws(RemoteMemoryError) {
    guard memx_uffd_is(fileDescriptor) == 1 else {
      throw RemoteMemoryError("descriptor \(fileDescriptor) is not one of userfaultfd")
    }
    let code = memx_descriptor_settle(fileDescriptor)
    guard code == 0 else { throw .system("userfaultfd handed over", code) }
    self.fileDescriptor = fileDescriptor
    servesKernelFaults = true
    isAdopted = true
  }

  deinit { close(fileDescriptor) }

  private static func refusal(call: Int32, device: Int32) -> RemoteMemoryError {
    guard call != ENOSYS else {
      return RemoteMemoryError(
        "userfaultfd: the kernel has none (CONFIG_USERFAULTFD)", code: ENOSYS)
    }
    return RemoteMemoryError(
      "userfaultfd is not permitted: userfaultfd(2): \(String(cString: strerror(call)));"
        + " /dev/userfaultfd: \(String(cString: strerror(device))). Give the program CAP_SYS_PTRACE,"
        + " or its user read and write access to /dev/userfaultfd,"
        + " or set the sysctl vm.unprivileged_userfaultfd to 1",
      code: EPERM)
  }

  // MARK: Ranges

  /// Asks for the faults of pages that are missing in a range, which must be mapped.
  ///
  /// - Parameters:
  ///   - address: a multiple of 4,096.
  ///   - length: in bytes, a multiple of 4,096.
  public func register(address: UInt64, length: UInt64) throws(RemoteMemoryError) {
    try Self.check(address: address, length: length)
    let code = memx_uffd_register(fileDescriptor, address, length)
    guard code == 0 else {
      let why =
        code == EBUSY
        ? "another userfaultfd has it"
        : code == EINVAL
          ? "it is not mapped as a whole, or not memory that can be registered"
          : String(cString: strerror(code))
      throw RemoteMemoryError(
        "cannot register \(length) bytes at 0x\(String(address, radix: 16)): \(why)")
    }
  }

  /// Has the kernel treat pages that are missing in a range as usual again: they read as zeros. Who
  /// waits there goes on.
  public func unregister(address: UInt64, length: UInt64) throws(RemoteMemoryError) {
    try Self.check(address: address, length: length)
    let code = memx_uffd_unregister(fileDescriptor, address, length)
    guard code == 0 else {
      throw .system(
        "cannot unregister \(length) bytes at 0x\(String(address, radix: 16))", code)
    }
  }

  static func check(address: UInt64, length: UInt64) throws(RemoteMemoryError) {
    let page = UInt64(Wire.pageBytes)
    guard length > 0, address % page == 0, length % page == 0,
      !address.addingReportingOverflow(length).overflow
    else {
      throw RemoteMemoryError(
        "\(length) bytes at 0x\(String(address, radix: 16)) are not whole pages of \(page) bytes")
    }
  }

  // MARK: Events

  /// Reads what has happened into `batch`, in place of what was there, without waiting. What does not
  /// fit stays for the next time.
  ///
  /// - Returns: how many events there are.
  public func read(into batch: inout EventBatch) throws(RemoteMemoryError) -> Int {
    let count = memx_uffd_read(fileDescriptor, batch.messages, UInt32(batch.capacity))
    guard count >= 0 else { throw .system("cannot read events of userfaultfd", -count) }
    batch.count = Int(count)
    return Int(count)
  }

  // MARK: Pages

  /// Copies pages to where none are, and wakes who waits for them. Never changes a page that is there.
  ///
  /// - Parameters:
  ///   - from: `pages` times 4,096 bytes; aligned only where kernels before 6.6 may run.
  ///   - pages: above 0.
  public func copy(to address: UInt64, from: UnsafeRawPointer, pages: Int) -> Placement {
    var done: Int64 = 0
    return Self.placement(pages) { at, length in
      (memx_uffd_copy(fileDescriptor, address + at, from + Int(at), length, &done), done)
    }
  }

  /// The same with pages of zeros.
  public func zero(at address: UInt64, pages: Int) -> Placement {
    var done: Int64 = 0
    return Self.placement(pages) { at, length in
      (memx_uffd_zero(fileDescriptor, address + at, length, &done), done)
    }
  }

  /// Has an access to missing pages end in SIGBUS, also one that waits already.
  ///
  /// Before Linux 6.6 there is no `UFFDIO_POISON`. Then pages of this process are replaced by a mapping
  /// behind the end of an empty file, which gives SIGBUS too; pages of another process cannot be, and
  /// the answer is `.failed(ENOTSUP)`: end that process.
  public func poison(at address: UInt64, pages: Int) -> Placement {
    var done: Int64 = 0
    let placement = Self.placement(pages) { at, length in
      (memx_uffd_poison(fileDescriptor, address + at, length, &done), done)
    }
    guard placement.obstacle == .failed(EINVAL) else { return placement }
    return isAdopted
      ? Placement(placed: 0, obstacle: .failed(ENOTSUP))
      : poisonWithoutKernel(at: address, pages: pages)
  }

  /// What `poison` does before Linux 6.6. The pages must be missing.
  func poisonWithoutKernel(at address: UInt64, pages: Int) -> Placement {
    let bytes = pages * Wire.pageBytes
    let file = memx_empty_file()
    guard file >= 0 else { return Placement(placed: 0, obstacle: .failed(-file)) }
    defer { close(file) }
    let mapped = mmap(
      UnsafeMutableRawPointer(bitPattern: UInt(address)), bytes, PROT_READ | PROT_WRITE,
      MAP_SHARED | MAP_FIXED, file, 0)
    guard mapped != MAP_FAILED else { return Placement(placed: 0, obstacle: .failed(errno)) }
    wake(at: address, pages: pages)
    return Placement(placed: pages, obstacle: nil)
  }

  /// Lets who waits for pages of a range try again.
  public func wake(at address: UInt64, pages: Int) {
    _ = memx_uffd_wake(fileDescriptor, address, UInt64(pages) * UInt64(Wire.pageBytes))
  }

  /// Repeats a call that may stop after any page, until it has done all or says why not.
  @inline(__always)
  static func placement(
    _ pages: Int, _ call: (_ at: UInt64, _ length: UInt64) -> (code: Int32, done: Int64)
  ) -> Placement {
    let length = UInt64(pages) * UInt64(Wire.pageBytes)
    var at: UInt64 = 0
    while true {
      let (code, done) = call(at, length - at)
      at += UInt64(done)
      let placed = Int(at / UInt64(Wire.pageBytes))
      if code == 0 { return Placement(placed: placed, obstacle: nil) }
      // EAGAIN with a part done: only the next try says what stopped it.
      if code == EAGAIN && done > 0 { continue }
      return Placement(placed: placed, obstacle: Obstacle(code))
    }
  }
}

extension Userfaultfd.Obstacle {
  fileprivate init(_ code: Int32) {
    switch code {
    case EEXIST: self = .alreadyThere
    case EAGAIN: self = .changing
    case ENOENT: self = .unmapped
    case ESRCH: self = .ended
    default: self = .failed(code)
    }
  }
}
