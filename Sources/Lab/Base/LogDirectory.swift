// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// Where one run's logs go.
enum LogDirectory {
  /// Runs `body` with an empty directory.
  ///
  /// The directory is removed when `body` succeeds or the task has been cancelled, unless `logs`
  /// names one to keep them in.
  ///
  /// - Throws: ``LabError`` which tells where the logs are, when `body` fails.
  static func with<R: Sendable>(
    _ logs: FilePath?, _ body: @Sendable (FilePath) async throws -> R
  ) async throws -> R {
    let directory: FilePath
    if let logs {
      try await Command.run(["rm", "-rf", "--", logs.string])
      try Files.makeDirectory(logs)
      directory = logs
    } else {
      directory = FilePath(try await Command.run(["mktemp", "-d", "-t", "memx-lab.XXXXXX"]))
    }
    do {
      let result = try await body(directory)
      if logs == nil { try await Command.run(["rm", "-rf", directory.string]) }
      return result
    } catch {
      if Task.isCancelled, logs == nil {
        // In a task of its own, which has not been cancelled.
        _ = try await Task.detached { try await Command.run(["rm", "-rf", directory.string]) }.value
        throw LabError("interrupted")
      }
      throw LabError("\(error)", remedy: "the logs are in \(directory)")
    }
  }
}
