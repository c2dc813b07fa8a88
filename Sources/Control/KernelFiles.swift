// SPDX-License-Identifier: Apache-2.0
import Console
import Glibc

/// Where the kernel shows its files. Tests point the roots at a made-up tree.
public struct KernelFiles: Sendable {
  /// Where sysfs is mounted.
  public var sysfs: String
  /// Where procfs is mounted.
  public var proc: String
  /// Where debugfs is mounted.
  public var debugfs: String

  /// Files below the given roots.
  public init(sysfs: String = "/sys", proc: String = "/proc", debugfs: String? = nil) {
    self.sysfs = sysfs
    self.proc = proc
    self.debugfs = debugfs ?? sysfs + "/kernel/debug"
  }

  /// The machine's own files, unless the environment names other roots in `MEMX_SYSFS` and
  /// `MEMX_PROC`.
  public static func fromEnvironment() -> KernelFiles {
    KernelFiles(
      sysfs: getenv("MEMX_SYSFS").map { String(cString: $0) } ?? "/sys",
      proc: getenv("MEMX_PROC").map { String(cString: $0) } ?? "/proc")
  }

  /// The file that a new attachment is written to.
  public var attachPath: String { sysfs + "/class/memx/attach" }

  /// Whether memx.ko is loaded.
  public var isModuleLoaded: Bool { access(sysfs + "/class/memx", F_OK) == 0 }

  /// The directory of a device's attributes.
  public func attributes(of device: DeviceName) -> String {
    "\(sysfs)/block/\(device)/memx"
  }

  /// One attribute of `device` without the newline at its end; nil when it is not there.
  public func attribute(_ name: String, of device: DeviceName) -> String? {
    text("\(attributes(of: device))/\(name)")
  }

  /// One attribute that is a decimal number; nil when it is not there or no number.
  public func number(_ name: String, of device: DeviceName) -> UInt64? {
    attribute(name, of: device).flatMap { UInt64($0) }
  }

  /// The contents of the file at `path` without white space at its end; nil when it cannot be read.
  func text(_ path: String) -> String? {
    guard var text = try? readSmallFile(path) else { return nil }
    while let last = text.last, last.isWhitespace { text.removeLast() }
    return text
  }

  /// This machine's memory in KiB.
  ///
  /// - Throws: ``Failure`` when the kernel does not say.
  public func memoryKiB() throws(Failure) -> UInt64 { try memoryKiB("MemTotal") }

  /// How much of this machine's memory can be paged out, in KiB: what is available or programs' own, and an eighth more,
  /// as the kernel's share changes.
  ///
  /// A pseudo-paging device has its pages in that same memory, and should not be larger: Linux keeps the slot of a page
  /// that it reads back while less than half of the swap space is in use (`vm_swap_full`, include/linux/swap.h). With slots
  /// for all of a small guest's memory, a program that the guest has room for once would be there twice.
  ///
  /// - Throws: ``Failure`` when the kernel does not say.
  public func pageableKiB() throws(Failure) -> UInt64 {
    var pageable: UInt64 = 0
    for name in ["MemAvailable", "AnonPages", "Shmem"] { pageable += try memoryKiB(name) }
    return min(try memoryKiB(), pageable + pageable / 8)
  }

  private func memoryKiB(_ name: String) throws(Failure) -> UInt64 {
    for line in (text(proc + "/meminfo") ?? "").split(separator: "\n")
    where line.hasPrefix(name + ":") {
      if let kib = line.split(separator: " ").dropFirst().first.flatMap({ UInt64($0) }) {
        return kib
      }
    }
    throw Failure(.failed, "cannot find \(name) in \(proc)/meminfo")
  }

  /// The devices that are attached, by number.
  public func devices() -> [DeviceName] {
    ((try? directoryEntries(sysfs + "/block")) ?? [])
      .compactMap { try? DeviceName(parsing: $0) }
      .filter { access(attributes(of: $0), F_OK) == 0 }
      .sorted { $0.number < $1.number }
  }

  /// Makes sure that `device` is attached.
  ///
  /// - Throws: ``Failure`` with ``Exit/notThere`` that says what is attached instead.
  public func requireAttached(_ device: DeviceName) throws(Failure) {
    guard access(attributes(of: device), F_OK) != 0 else { return }
    guard isModuleLoaded else { throw Self.moduleMissing(.notThere) }
    let others = devices().map(\.description)
    throw Failure(
      .notThere,
      "\(device) is not attached; "
        + (others.isEmpty ? "no device is" : "attached: \(others.joined(separator: ", "))"))
  }

  static func moduleMissing(_ exit: Exit) -> Failure {
    Failure(exit, "the kernel module memx is not loaded; load it with: modprobe memx")
  }
}
