// SPDX-License-Identifier: Apache-2.0
import Console
import Glibc
import Migration
import TestSupport

/// A shell script in place of `xl`, which writes down what it was asked for.
struct MadeUpToolstack {
  let directory: TemporaryDirectory
  var toolstack: Toolstack { Toolstack(program: directory.path + "/xl") }

  /// - Parameters:
  ///   - domains: names and numbers of those that are there from the beginning.
  ///   - save: shell commands of `xl save`; what they print is the guest.
  ///   - restore: shell commands of `xl restore`; they read the guest, and know where it ends, as xl does.
  init(
    domains: [String: Int] = [:], freeMemory_mib: Int = 1000, save: String = "exit 1",
    restore: String = "head -n 100000 > \"$d/restored\"; echo 9 > \"$d/domain.guest\""
  ) throws {
    directory = try TemporaryDirectory()
    for (name, number) in domains { try make("domain.\(name)", "\(number)\n") }
    try make(
      "xl",
      """
      #!/bin/sh
      d=$(dirname "$0")
      echo "$*" >> "$d/calls"
      case "$1" in
      domid) cat "$d/domain.$2" ;;
      info) echo "free_memory            : \(freeMemory_mib)" ;;
      save) \(save) ;;
      restore) \(restore) ;;
      esac

      """)
  }

  private func make(_ name: String, _ text: String) throws {
    close(creat("\(directory.path)/\(name)", 0o755))
    try writeSmallFile("\(directory.path)/\(name)", text)
  }

  /// Puts a file beside it.
  func put(_ name: String, _ bytes: [UInt8]) throws {
    let descriptor = creat("\(directory.path)/\(name)", 0o644)
    defer { close(descriptor) }
    guard writeAll(bytes, to: descriptor) else { throw SystemError() }
  }

  /// A file beside it.
  func bytes(_ name: String) throws -> [UInt8] {
    let descriptor = open("\(directory.path)/\(name)", O_RDONLY)
    guard descriptor >= 0 else { throw SystemError() }
    defer { close(descriptor) }
    return readAll(descriptor)
  }

  /// What `xl restore` has read.
  var restored: String { (try? readSmallFile(directory.path + "/restored")) ?? "" }

  /// What it was asked for, in order.
  var calls: [String] {
    ((try? readSmallFile(directory.path + "/calls")) ?? "").split(separator: "\n").map(String.init)
  }
}

/// Everything from here to the end.
func readAll(_ descriptor: Int32) -> [UInt8] {
  var bytes: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 1 << 16)
  while case let count = read(descriptor, &chunk, chunk.count), count > 0 {
    bytes += chunk[..<count]
  }
  return bytes
}
