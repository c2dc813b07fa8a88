// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Huge pages of 2 MiB and a hugetlbfs that may take so many of them, given back with this object.
package final class HugePages {
  /// Where the hugetlbfs is mounted.
  package let mountPoint: String
  private static let setting = "/proc/sys/vm/nr_hugepages"
  private let directory: TemporaryDirectory
  private let count: Int
  private let othersAvailable: Int

  /// - Throws: `TestFailure` when the system has not so much memory in one piece, or no huge pages.
  package init(_ count: Int) throws {
    directory = try TemporaryDirectory()
    mountPoint = directory.path
    self.count = count
    let former = try Self.number(in: Self.setting)
    othersAvailable = try Self.unreserved()
    try Self.write(former + count)
    let given = try Self.number(in: Self.setting) - former
    guard given == count else {
      try Self.write(former)
      throw TestFailure(
        "the system gives \(given) of \(count) huge pages that are asked for in \(Self.setting)")
    }
    do {
      try run("mount", "-t", "hugetlbfs", "-o", "pagesize=2M", "memx", mountPoint)
    } catch {
      try Self.write(former)
      throw error
    }
  }

  deinit {
    try? run("umount", mountPoint)
    // Others may have asked for some meanwhile.
    if let current = try? Self.number(in: Self.setting) { try? Self.write(current - count) }
  }

  /// How many of the pages neither are in use nor have been promised to anybody.
  package var available: Int { get throws { try Self.unreserved() - othersAvailable } }

  private static func unreserved() throws -> Int {
    let lines = try String(contentsOfFile: "/proc/meminfo", encoding: .utf8).split(separator: "\n")
    func count(_ name: String) throws -> Int {
      guard let line = lines.first(where: { $0.hasPrefix("\(name):") }),
        let value = line.split(separator: " ").last.flatMap({ Int($0) })
      else { throw TestFailure("/proc/meminfo has no \(name): the system has no huge pages") }
      return value
    }
    return try count("HugePages_Free") - count("HugePages_Rsvd")
  }

  private static func number(in path: String) throws -> Int {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8),
      let number = Int(text.trimmingCharacters(in: .whitespacesAndNewlines))
    else { throw TestFailure("cannot read \(path): the system has no huge pages") }
    return number
  }

  private static func write(_ count: Int) throws {
    guard let file = FileHandle(forWritingAtPath: setting) else {
      throw TestFailure("cannot write \(setting)")
    }
    try file.write(contentsOf: Data("\(count)\n".utf8))
    try file.close()
  }
}
