// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage

/// Why memory for pages could not be had: what was wrong, where, and what to do.
public struct StoreError: Error, CustomStringConvertible, Sendable {
  public let description: String

  public init(_ description: String) { self.description = description }

  /// With the text of `errno` behind the description.
  static func system(_ what: String, _ code: Int32 = errno) -> StoreError {
    StoreError("\(what): \(Errno(rawValue: code))")
  }
}
