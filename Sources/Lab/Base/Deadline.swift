// SPDX-License-Identifier: Apache-2.0

/// Runs `body` and cancels it after `timeout`.
///
/// - Parameters:
///   - timeout: how long the body may take.
///   - what: names the awaited thing in the error, as in "guest to boot".
/// - Throws: ``LabError`` when the time is over, otherwise what `body` throws.
public func within<R: Sendable>(
  _ timeout: Duration, _ what: String, _ body: @escaping @Sendable () async throws -> R
) async throws -> R {
  try await withThrowingTaskGroup(of: R?.self) { group in
    group.addTask { try await body() }
    group.addTask {
      try await Task.sleep(for: timeout)
      return nil
    }
    defer { group.cancelAll() }
    while let first = try await group.next() {
      if let result = first { return result }
      throw LabError("waited \(timeout.components.seconds) s for \(what)")
    }
    throw CancellationError()
  }
}
