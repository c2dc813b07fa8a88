// SPDX-License-Identifier: Apache-2.0
import Glibc
import Subprocess
import SystemPackage

/// A child process which runs beside the scenario: a server, a virtual machine.
///
/// It is a Subprocess run whose scope is a task, so that a scenario can end one server and start
/// the next in the middle of a guest's life, which nested closures would not allow.
public final class Child: Sendable {
  /// What sends bytes to the child's standard input.
  public typealias Input = StandardInputWriter

  /// The process id; the process may have ended already.
  public let pid: Int32
  /// The name used in messages.
  public let name: String
  /// Writes to the child's standard input.
  let input: Input
  private let task: Task<Int, any Error>

  private init(pid: Int32, name: String, input: Input, task: Task<Int, any Error>) {
    self.pid = pid
    self.name = name
    self.input = input
    self.task = task
  }

  /// Starts a program.
  ///
  /// - Parameters:
  ///   - name: the name used in messages.
  ///   - argv: the program and its arguments.
  ///   - log: the file that standard error is appended to.
  ///   - line: called for each line of standard output, in order, without its line break; when
  ///     nil, standard output goes to the log as well.
  ///   - ended: called when the child has ended.
  /// - Throws: ``LabError`` when the log cannot be opened or the program cannot be started.
  public static func start(
    _ name: String, _ argv: [String], log: FilePath,
    line: (@Sendable (String) async -> Void)? = nil,
    ended: @escaping @Sendable () async -> Void = {}
  ) async throws -> Child {
    let errors = try Files.appending(to: log)
    let started = AsyncStream.makeStream(of: (Int32, Input).self)
    let run = Task.detached {
      defer {
        started.continuation.finish()
        try? errors.close()
      }
      let result = try await Subprocess.run(
        Process.executable(argv[0]), arguments: Arguments(Array(argv.dropFirst())),
        platformOptions: Process.killedWhenCancelled,
        input: .inputWriter, output: .sequence,
        error: .fileDescriptor(errors, closeAfterSpawningProcess: false)
      ) { execution in
        started.continuation.yield(
          (execution.processIdentifier.value, execution.standardInputWriter))
        for try await text in execution.standardOutput.strings() {
          let text = text.last?.isNewline == true ? String(text.dropLast()) : text
          if let line { await line(text) } else { _ = try errors.writeAll("\(text)\n".utf8) }
        }
      }
      return Process.code(result.terminationStatus)
    }
    let task = Task.detached {
      let result = await run.result
      await ended()
      return try result.get()
    }
    for await (pid, input) in started.stream {
      return Child(pid: pid, name: name, input: input, task: task)
    }
    switch await task.result {
    case .success(let code): throw LabError("\(name) ended with \(code) as it started")
    case .failure(let error):
      throw LabError("cannot start \(argv[0]): \(error)", remedy: "run tools/setup")
    }
  }

  /// Sends a signal; nothing happens when the process has ended.
  public func send(_ signal: Int32) { _ = kill(pid, signal) }

  /// Whether it has not ended yet.
  public var isRunning: Bool { kill(pid, 0) == 0 }

  /// Waits for the end.
  ///
  /// - Returns: the exit code, or 128 + the signal.
  /// - Throws: ``LabError`` after `timeout`; the child goes on then.
  public func exited(within timeout: Duration) async throws -> Int {
    let task = task
    return try await within(timeout, "\(name) to end") {
      // The awaited value outlives a cancelled waiter, so race it by hand.
      let done = AsyncThrowingStream<Int, any Error> { continuation in
        Task.detached {
          do { continuation.yield(try await task.value) } catch {
            continuation.finish(throwing: error)
          }
          continuation.finish()
        }
      }
      for try await code in done { return code }
      throw CancellationError()
    }
  }

  /// Ends the child: SIGTERM, and SIGKILL when it has not ended after `grace`.
  ///
  /// - Returns: its exit code, or 128 + the signal.
  @discardableResult
  public func stop(grace: Duration = .seconds(5)) async -> Int {
    send(SIGTERM)
    if let code = try? await exited(within: grace) { return code }
    send(SIGKILL)
    return (try? await task.value) ?? 128 + Int(SIGKILL)
  }
}
