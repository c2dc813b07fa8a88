// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage

/// Why memory cannot be served: what was wrong, where, and what to do.
public struct RemoteMemoryError: Error, CustomStringConvertible, Sendable {
  public let description: String
  /// The errno value that comes nearest.
  public let code: Int32

  public init(_ description: String, code: Int32 = EINVAL) {
    self.description = description
    self.code = code
  }

  /// With the text of an errno value behind the description.
  public static func system(_ what: String, _ code: Int32) -> RemoteMemoryError {
    RemoteMemoryError("\(what): \(Errno(rawValue: code))", code: code)
  }
}
