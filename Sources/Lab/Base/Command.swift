// SPDX-License-Identifier: Apache-2.0
import Subprocess
import SystemPackage

/// Short commands of the host, run to their end.
public enum Command {
  /// How a command ended and what it printed.
  public struct Outcome: Sendable {
    /// The exit code, or 128 + the signal which ended it, as a shell reports it.
    public let code: Int
    /// Standard output and standard error in the order they were written.
    public let output: String

    /// Whether the command ended with exit code 0.
    public var succeeded: Bool { code == 0 }

    /// The last lines of the output, for error messages.
    public func tail(lines: Int = 12) -> String {
      output.split(separator: "\n").suffix(lines).joined(separator: "\n")
    }
  }

  /// Runs a command to its end, whatever its exit code.
  ///
  /// - Parameters:
  ///   - argv: the program, looked up on PATH unless it has a slash, and its arguments.
  ///   - directory: the working directory; the current one when nil.
  ///   - environment: variables set on top of the inherited ones.
  ///   - timeout: after this long the command is killed.
  /// - Throws: ``LabError`` when it cannot be started or does not end in time.
  public static func outcome(
    _ argv: [String], in directory: FilePath? = nil, environment: [String: String] = [:],
    timeout: Duration = .seconds(120)
  ) async throws -> Outcome {
    var overrides: [Environment.Key: String?] = [:]
    for (key, value) in environment {
      overrides[Environment.Key(stringLiteral: key)] = value
    }
    let updated = overrides
    return try await within(timeout, "‘\(argv.joined(separator: " "))’ to end") {
      do {
        let result = try await Subprocess.run(
          Process.executable(argv[0]), arguments: Arguments(Array(argv.dropFirst())),
          environment: .inherit.updating(updated), workingDirectory: directory,
          platformOptions: Process.killedWhenCancelled,
          output: .string(limit: 64 << 20), error: .combinedWithOutput)
        return Outcome(
          code: Process.code(result.terminationStatus), output: result.standardOutput)
      } catch let error as SubprocessError {
        throw LabError("cannot run ‘\(argv[0])’: \(error)", remedy: "run tools/setup")
      }
    }
  }

  /// Runs a command which must succeed.
  ///
  /// - Returns: its output without the last line break.
  /// - Throws: ``LabError`` with the end of its output when it fails.
  @discardableResult
  public static func run(
    _ argv: [String], in directory: FilePath? = nil, environment: [String: String] = [:],
    timeout: Duration = .seconds(120)
  ) async throws -> String {
    let outcome = try await outcome(
      argv, in: directory, environment: environment, timeout: timeout)
    guard outcome.succeeded else {
      throw LabError(
        "‘\(argv.joined(separator: " "))’ ended with \(outcome.code):\n\(outcome.tail())")
    }
    return outcome.output.hasSuffix("\n") ? String(outcome.output.dropLast()) : outcome.output
  }
}
