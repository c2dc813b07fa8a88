// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// The client outside of a guest with a heartbeat: `pulse watch` in the namespace (tools/guest/pulse.c).
actor PulseWatcher {
  /// What it has seen up to now.
  struct Seen: Sendable {
    var asked = 0
    var answered = 0
    var wrong = 0
    var repeated = 0
    var beats = 0
    /// The longest time between two beats that arrived.
    var silence_ms = 0.0
    /// The longest such time less the beats that were sent in it: the program did not run then.
    var stopped_ms = 0.0

    /// Reads the line that `pulse watch` says.
    ///
    /// - Throws: ``LabError`` when a number is missing.
    init(_ line: String) throws {
      var numbers: [Substring: Double] = [:]
      for word in line.split(separator: " ") {
        let parts = word.split(separator: "=")
        if parts.count == 2 { numbers[parts[0]] = Double(parts[1]) }
      }
      func number(_ name: Substring) throws -> Double {
        guard let number = numbers[name] else {
          throw LabError("the watcher of a heartbeat said ‘\(line)’, without \(name)")
        }
        return number
      }
      asked = Int(try number("asked"))
      answered = Int(try number("answered"))
      wrong = Int(try number("wrong"))
      repeated = Int(try number("repeated"))
      beats = Int(try number("beats"))
      silence_ms = try number("silence_ms")
      stopped_ms = try number("stopped_ms")
    }
  }

  private var child: Child?
  private var waiting: [CheckedContinuation<String, any Error>] = []

  /// Starts to watch a heartbeat.
  ///
  /// - Parameters:
  ///   - pulse: the program.
  ///   - words: what it takes after `watch`.
  static func start(
    _ pulse: FilePath, _ words: [String], in namespace: Namespace, log: FilePath
  ) async throws -> PulseWatcher {
    let watcher = PulseWatcher()
    let child = try await Child.start(
      "the heartbeat's watcher", namespace.command([pulse.string, "watch"] + words), log: log,
      line: { await watcher.receive($0) },
      ended: {
        await watcher.close(LabError("the heartbeat's watcher has ended"))
      })
    await watcher.open(child)
    return watcher
  }

  /// What it has seen up to now.
  func seen() async throws -> Seen {
    guard let child else { throw LabError("the heartbeat's watcher has ended") }
    let line = try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        // It may answer before the write returns.
        waiting.append(continuation)
        Task {
          do { _ = try await child.input.write("\n") } catch { self.close(error) }
        }
      }
    } onCancel: {
      Task { await self.close(CancellationError()) }
    }
    return try Seen(line)
  }

  /// Waits until `condition` holds.
  func until(
    _ what: String, timeout: Duration, _ condition: @escaping @Sendable (Seen) -> Bool
  ) async throws {
    try await within(timeout, what) {
      while try await !condition(self.seen()) { try await Task.sleep(for: .milliseconds(100)) }
    }
  }

  /// Ends it.
  func stop() async { await child?.stop() }

  private func open(_ child: Child) { self.child = child }

  private func receive(_ line: String) {
    if !waiting.isEmpty { waiting.removeFirst().resume(returning: line) }
  }

  private func close(_ error: any Error) {
    child = nil
    for continuation in waiting { continuation.resume(throwing: error) }
    waiting = []
  }
}
