// SPDX-License-Identifier: Apache-2.0
import Processes

/// The stock toolstack, by its program `xl`.
struct Toolstack {
  private static let package = "xen-utils"

  private static func xl(_ arguments: String...) throws(RunFailure) -> String {
    try ChildProcess.run("xl", arguments, package: package)
  }

  /// The number of the domain called `name`.
  static func domain(_ name: String) throws(RunFailure) -> Int {
    let said = try xl("domid", name)
    guard let number = Int(said.filter { $0.isNumber }) else {
      throw RunFailure("xl domid \(name) printed '\(said)'")
    }
    return number
  }

  /// Memory that the hypervisor could give to a new domain, in MiB.
  static func freeMemory_mib() throws(RunFailure) -> UInt64 {
    for line in try xl("info").split(separator: "\n") where line.hasPrefix("free_memory") {
      if let value = line.split(separator: ":").last.map({ $0.filter(\.isNumber) }),
        let mib = UInt64(value)
      {
        return mib
      }
    }
    throw RunFailure("xl info does not say how much memory is free")
  }

  /// Starts to suspend the domain and to write its state to `output`; when that has ended well the domain
  /// is paused, with its memory.
  static func save(
    _ name: String, output: Int32, errors: Int32
  ) throws(RunFailure) -> ChildProcess {
    try ChildProcess(
      ChildProcess.find("xl", package: package), ["save", "-p", name, "/proc/self/fd/1"],
      output: output, errors: errors)
  }

  /// Starts to make a domain of what `input` brings, and to let it run.
  static func restore(input: Int32, errors: Int32) throws(RunFailure) -> ChildProcess {
    try ChildProcess(
      ChildProcess.find("xl", package: package), ["restore", "/proc/self/fd/0"], input: input,
      output: errors, errors: errors)
  }

  /// Lets a paused domain run.
  static func unpause(_ domain: Int) throws(RunFailure) { _ = try xl("unpause", "\(domain)") }

  /// Ends the domain and frees its memory.
  static func destroy(_ domain: Int) throws(RunFailure) { _ = try xl("destroy", "\(domain)") }
}
