// SPDX-License-Identifier: Apache-2.0
import Processes

/// The stock toolstack, by its program `xl`.
public struct Toolstack: Sendable {
  private static let package = "xen-utils"

  private let program: String

  /// - Parameter program: `xl`, or where another one is.
  public init(program: String = "xl") { self.program = program }

  private func path() throws(RunFailure) -> String {
    try ChildProcess.find(program, package: Self.package)
  }

  private func xl(_ arguments: String...) throws(RunFailure) -> String {
    try ChildProcess.run(program, arguments, package: Self.package)
  }

  /// The number of the domain called `name`.
  func domain(_ name: String) throws(RunFailure) -> Int {
    let said = try xl("domid", name)
    guard let number = Int(said.filter { !$0.isWhitespace }) else {
      throw RunFailure("xl domid \(name) printed '\(said)'")
    }
    return number
  }

  /// Memory that the hypervisor could give to a new domain, in MiB.
  func freeMemory_mib() throws(RunFailure) -> UInt64 {
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
  func save(
    _ name: String, output: Int32, errors: Int32
  ) throws(RunFailure) -> ChildProcess {
    try ChildProcess(
      path(), ["save", "-p", name, "/proc/self/fd/1"],
      output: output, errors: errors)
  }

  /// Starts to make a domain of what `input` brings, and to let it run.
  func restore(input: Int32, errors: Int32) throws(RunFailure) -> ChildProcess {
    try ChildProcess(
      path(), ["restore", "/proc/self/fd/0"], input: input,
      output: errors, errors: errors)
  }

  /// Lets a paused domain run.
  func unpause(_ domain: Int) throws(RunFailure) { _ = try xl("unpause", "\(domain)") }

  /// Ends the domain and frees its memory.
  func destroy(_ domain: Int) throws(RunFailure) { _ = try xl("destroy", "\(domain)") }
}
