// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import Console
@testable import Control

/// A directory that looks as the kernel's files do, removed with the value.
final class MadeUpTree {
  let root: String
  var files: KernelFiles { KernelFiles(sysfs: root + "/sys", proc: root + "/proc") }

  init(module: Bool = true) throws {
    var template = Array("/tmp/memx-tree-XXXXXX".utf8CString)
    root = String(cString: try #require(mkdtemp(&template)))
    try put("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n")
    try put("proc/mounts", "proc /proc proc rw 0 0\n")
    try put("sys/block/vda/size", "1000\n")
    if module { try put("sys/class/memx/attach", "") }
  }

  deinit {
    // Parents come after what is in them: deepest first.
    for path in paths.reversed() { remove(path) }
    remove(root)
  }

  private var paths: [String] = []

  func put(_ path: String, _ text: String) throws {
    var directory = root
    for part in path.split(separator: "/").dropLast() {
      directory += "/\(part)"
      if mkdir(directory, 0o755) == 0 { paths.append(directory) }
    }
    let whole = "\(root)/\(path)"
    let descriptor = open(whole, O_CREAT | O_TRUNC | O_WRONLY, 0o644)
    try #require(descriptor >= 0)
    close(descriptor)
    if !text.isEmpty { try writeSmallFile(whole, text) }
    paths.append(whole)
  }

  func text(_ path: String) throws -> String { try readSmallFile("\(root)/\(path)") }

  /// An attached device of 64 MiB.
  func attach(_ number: Int, region: String = "swap0", link: String = "eth0") throws {
    let base = "sys/block/memx\(number)"
    try put("\(base)/size", "131072\n")
    for (name, value) in [
      ("region", region), ("link", link), ("server", "52:54:00:12:34:56"), ("state", "live"),
      ("session", "0x0000002a"), ("incarnation", "0x00000000deadbeef"), ("mtu", "9000"),
      ("queue_depth", "128"), ("credits", "64"), ("timeout_s", "30"), ("srtt_us", "180"),
      ("rto_us", "2000"), ("detach", ""),
    ] { try put("\(base)/memx/\(name)", value.isEmpty ? "" : value + "\n") }
    for (index, name) in Sample.names.enumerated() {
      try put("\(base)/memx/stats/\(name)", "\((index + 1) * 100)\n")
    }
  }

  func swapTo(_ number: Int, usedKiB: Int = 2048) throws {
    try put(
      "proc/swaps",
      """
      Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority
      /dev/memx\(number)                             partition\t65532\t\t\(usedKiB)\t\t5

      """)
  }
}

/// Swap tools that note what they are asked for.
final class NotedSwapTools: SwapTools {
  var calls: [String] = []
  var mkswapStatus: Int32 = 0
  var swaponError: Int32?
  var swapoffError: Int32?

  func mkswap(_ path: String) throws(SystemError) -> Int32 {
    calls.append("mkswap \(path)")
    return mkswapStatus
  }
  func swapon(_ path: String, flags: Int32) throws(SystemError) {
    calls.append("swapon \(path) 0x\(String(flags, radix: 16))")
    if let swaponError { throw SystemError(code: swaponError) }
  }
  func swapoff(_ path: String) throws(SystemError) {
    calls.append("swapoff \(path)")
    if let swapoffError { throw SystemError(code: swapoffError) }
  }
}
