// SPDX-License-Identifier: Apache-2.0

/// Slots that are going to be given out soon, whatever else happens: so a program that comes to one need not ask.
public struct Promise: Hashable, Sendable {
  /// The slot that comes first.
  public var first: Int
  /// How many: upwards from `first`, or downwards where it is negative.
  public var count: Int

  public init(first: Int, count: Int) {
    self.first = first
    self.count = count
  }
}
