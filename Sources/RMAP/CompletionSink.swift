// SPDX-License-Identifier: Apache-2.0

/// How a client's request ended.
public enum Outcome: Sendable, Equatable {
  case done
  /// The server refused, and says why. `badSession`, to what tells it of a post-copy: the session ended
  /// meanwhile, and the new one has to be told everything again.
  case refused(Status)
  /// No answer for as long as the client waits.
  case timedOut
}

/// Takes what a client's session has finished.
public protocol CompletionSink: ~Copyable {
  /// - Parameters:
  ///   - request: the number that `submit` was given.
  ///   - outcome: for a read that is `.done`, the page is in the buffer, or `arrived` has had it.
  mutating func completed(request: UInt64, outcome: Outcome)

  /// A page has come that no buffer waits for: a push, or the answer to a read without a buffer.
  ///
  /// A push may be of a page that the client has, wrote or freed meanwhile, and then must not be used.
  ///
  /// - Parameters:
  ///   - page: 4,096 bytes, valid until this returns; nil for a page of zeros.
  ///   - isPush: the server sent it unasked.
  mutating func arrived(slot: UInt64, page: UnsafeRawPointer?, isPush: Bool)

  /// The server will push these slots in a moment.
  ///
  /// - Parameter count: from `first` on upwards, downwards when negative; not 0. May lead out of the region.
  mutating func announced(first: UInt64, count: Int)

  /// The server has nothing more to push: what has neither arrived nor been asked for was never stored.
  mutating func pushesEnded()
}

extension CompletionSink where Self: ~Copyable {
  public mutating func arrived(slot: UInt64, page: UnsafeRawPointer?, isPush: Bool) {}
  public mutating func announced(first: UInt64, count: Int) {}
  public mutating func pushesEnded() {}
}
