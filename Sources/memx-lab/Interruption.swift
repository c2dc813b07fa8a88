// SPDX-License-Identifier: Apache-2.0
import Dispatch
import Glibc

/// Ctrl-C and SIGTERM cancel what runs, so that machines and namespaces are cleared away.
enum Interruption {
  static func cancelling<R: Sendable>(_ body: @escaping @Sendable () async -> R) async -> R {
    let task = Task { await body() }
    let sources = [SIGINT, SIGTERM].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number)
      source.setEventHandler { task.cancel() }
      source.activate()
      return source
    }
    let result = await task.value
    for source in sources { source.cancel() }
    return result
  }
}

extension Result where Failure == any Error {
  /// What `body` returns or throws.
  init(_ body: () async throws -> Success) async {
    do { self = .success(try await body()) } catch { self = .failure(error) }
  }
}
