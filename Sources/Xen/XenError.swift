// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Why Xen did not do what was asked: what was tried, and why it failed.
public struct XenError: Error, Equatable, CustomStringConvertible, Sendable {
  /// What was tried, with the path or the domain that it concerns.
  public let action: String
  /// The value of `errno`; 0 when there is none.
  public let code: Int32
  private let reason: String

  /// - Parameters:
  ///   - action: what was tried, "cannot read /local/domain/1/data/memx/root" say.
  ///   - code: the value of `errno`.
  public init(_ action: String, code: Int32) {
    self.action = action
    self.code = code
    reason = String(cString: strerror(code))
  }

  /// - Parameters:
  ///   - action: what was tried.
  ///   - reason: why it failed, and what to do.
  public init(_ action: String, reason: String) {
    self.action = action
    self.reason = reason
    code = 0
  }

  public var description: String { "\(action): \(reason)" }
}
