// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials

/// The lab's end of a QEMU's control socket.
///
/// Answers are taken by the number of their command. Of events the last of each name is kept until
/// it is asked for, so that none is missed between a command and the wait for what it brings about.
actor QMP {
  /// What commands without a result return.
  struct Nothing: Decodable, Sendable {}

  private var input: Child.Input?
  private var ended = false
  private var sent = 0
  private var received: [QMPMessage.Kind: QMPMessage] = [:]
  private var waiting: [QMPMessage.Kind: CheckedContinuation<QMPMessage, any Error>] = [:]

  /// Takes a line that QEMU wrote; other lines are left alone.
  func receive(_ line: String) {
    guard let message = QMPMessage(line) else { return }
    if let waiter = waiting.removeValue(forKey: message.kind) {
      waiter.resume(returning: message)
    } else {
      received[message.kind] = message
    }
  }

  /// QEMU has ended: nobody gets an answer any more.
  func close() {
    ended = true
    for waiter in waiting.values { waiter.resume(throwing: LabError("QEMU ended")) }
    waiting = [:]
  }

  /// Waits for QEMU's greeting and begins.
  func open(_ input: Child.Input, timeout: Duration = .seconds(20)) async throws {
    self.input = input
    _ = try await within(timeout, "QEMU's greeting") { try await self.message(.greeting) }
    try await execute("qmp_capabilities")
  }

  /// Runs a command.
  ///
  /// - Throws: ``LabError`` with QEMU's words when it fails.
  func execute(_ command: String, _ arguments: some Encodable & Sendable = [String: String]())
    async throws
  {
    _ = try await ask(command, arguments, as: Nothing.self)
  }

  /// Runs a command that returns something.
  ///
  /// - Throws: ``LabError`` with QEMU's words when it fails.
  func ask<R: Decodable & Sendable>(
    _ command: String, _ arguments: some Encodable & Sendable = [String: String](), as: R.Type
  ) async throws -> R {
    guard let input, !ended else { throw LabError("QEMU ended before ‘\(command)’") }
    sent += 1
    let id = sent
    let line = try JSONEncoder().encode(
      Request(execute: command, arguments: arguments, id: id))
    _ = try await input.write(String(decoding: line, as: UTF8.self) + "\n")
    let answer = try await within(.seconds(20), "QEMU to answer ‘\(command)’") {
      try await self.message(.answer(id))
    }
    do {
      return try answer.returned(R.self)
    } catch {
      throw LabError("‘\(command)’: \(error)")
    }
  }

  /// Waits for an event, unless it has happened already.
  ///
  /// - Returns: when it happened, in µs since 1970.
  /// - Throws: ``LabError`` when it does not come in time.
  func event(_ name: String, timeout: Duration) async throws -> Int64 {
    try await within(timeout, "QEMU's event \(name)") { try await self.message(.event(name)) }
      .time_us
  }

  private func message(_ kind: QMPMessage.Kind) async throws -> QMPMessage {
    if let message = received.removeValue(forKey: kind) { return message }
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        if ended || Task.isCancelled {
          continuation.resume(throwing: LabError("QEMU ended"))
        } else {
          waiting[kind] = continuation
        }
      }
    } onCancel: {
      Task { await self.abandon(kind) }
    }
  }

  private func abandon(_ kind: QMPMessage.Kind) {
    waiting.removeValue(forKey: kind)?.resume(throwing: CancellationError())
  }
}

private struct Request<Arguments: Encodable>: Encodable {
  let execute: String
  let arguments: Arguments
  let id: Int
}
