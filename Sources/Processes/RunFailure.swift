// SPDX-License-Identifier: Apache-2.0

/// Why a run failed, in a sentence.
public struct RunFailure: Error, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}
