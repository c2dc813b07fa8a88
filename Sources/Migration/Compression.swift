// SPDX-License-Identifier: Apache-2.0
import Processes

/// The programs that can make the stream of a saved guest smaller while it moves.
///
/// What is left of a guest is mostly its kernel, which packs well, and pages of zeros. Both hosts need the program.
public enum Compression: String, CaseIterable, Sendable {
  /// Fast enough for a link of 10 Gbit/s.
  case lz4
  /// Smaller, for slow links.
  case zstd
  /// Everywhere.
  case gzip

  /// The program, by its path.
  ///
  /// - Throws: when it is not there; says what to install.
  @discardableResult
  func path() throws(RunFailure) -> String {
    try ChildProcess.find(rawValue, package: rawValue)
  }

  func pack(input: Int32, output: Int32) throws(RunFailure) -> ChildProcess {
    try ChildProcess(path(), ["-1", "-q", "-c"], input: input, output: output)
  }

  func unpack(input: Int32, output: Int32) throws(RunFailure) -> ChildProcess {
    try ChildProcess(path(), ["-d", "-q", "-c"], input: input, output: output)
  }
}
