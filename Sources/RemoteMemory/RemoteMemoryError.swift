// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// Why memory cannot be served: what was wrong, where, and what to do.
public struct RemoteMemoryError: Error, CustomStringConvertible, Sendable {
  public let description: String

  public init(_ description: String) { self.description = description }

  /// With the text of an errno value behind the description.
  static func system(_ what: String, _ code: Int32) -> RemoteMemoryError {
    RemoteMemoryError("\(what): \(Errno(rawValue: code))")
  }
}
