// SPDX-License-Identifier: Apache-2.0

/// What went wrong in the lab, where, and what to do about it.
public struct LabError: Error, CustomStringConvertible, Sendable {
  /// What was wrong.
  public let what: String
  /// What the reader can do, or nil when the message says enough.
  public let remedy: String?

  public init(_ what: String, remedy: String? = nil) {
    self.what = what
    self.remedy = remedy
  }

  public var description: String {
    guard let remedy else { return what }
    return "\(what); \(remedy)"
  }
}
