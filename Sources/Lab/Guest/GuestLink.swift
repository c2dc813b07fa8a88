// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials

/// The host's end of the line to a guest's agent.
actor GuestLink {
  /// How a command in a guest ended.
  struct Reply: Sendable {
    let code: Int
    let output: String
  }

  private let name: String
  private var input: Child.Input?
  private var ready: String?
  private var ended = false
  private var sent = 0
  private var waiting: [Int: CheckedContinuation<Reply, any Error>] = [:]
  private var waitingForReady: [CheckedContinuation<String, any Error>] = []

  /// - Parameter name: names the machine in errors.
  init(name: String) { self.name = name }

  func open(_ input: Child.Input) { self.input = input }

  /// Takes a line that the guest wrote; lines that are not the agent's are left alone.
  func receive(_ line: String) {
    let words = line.split(whereSeparator: \.isWhitespace)
    switch words.first {
    case "MEMX-READY":
      ready = words.dropFirst().first.map(String.init) ?? ""
      for continuation in waitingForReady { continuation.resume(returning: ready ?? "") }
      waitingForReady = []
    case "MEMX-EXIT":
      guard words.count >= 3, let id = Int(words[1]), let code = Int(words[2]) else { return }
      let data = words.count > 3 ? Data(base64Encoded: String(words[3])) : Data()
      let output = data.map { String(decoding: $0, as: UTF8.self) } ?? "(unreadable output)"
      waiting.removeValue(forKey: id)?.resume(returning: Reply(code: code, output: output))
    default: break
    }
  }

  /// The machine has ended: nobody gets an answer any more.
  func close() {
    ended = true
    let error = LabError("\(name) ended")
    for continuation in waiting.values { continuation.resume(throwing: error) }
    for continuation in waitingForReady { continuation.resume(throwing: error) }
    waiting = [:]
    waitingForReady = []
  }

  /// Waits for the agent. Returns the guest's kernel release.
  func untilReady() async throws -> String {
    if let ready { return ready }
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        if ended || Task.isCancelled {
          continuation.resume(throwing: LabError("\(name) ended"))
        } else {
          waitingForReady.append(continuation)
        }
      }
    } onCancel: {
      Task { await self.abandonReady() }
    }
  }

  /// Runs a shell script in the guest, in one of its control groups.
  func run(_ script: String, group: String) async throws -> Reply {
    guard !ended, let input else { throw LabError("\(name) ended") }
    sent += 1
    let id = sent
    let line = "\(id) \(group) \(Data(script.utf8).base64EncodedString())\n"
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        waiting[id] = continuation
        Task {
          do { _ = try await input.write(line) } catch { self.fail(id, error) }
        }
      }
    } onCancel: {
      Task { await self.fail(id, CancellationError()) }
    }
  }

  /// Asks the agent to end, which ends the machine.
  func end() async throws { _ = try await input?.write("end\n") }

  private func fail(_ id: Int, _ error: any Error) {
    waiting.removeValue(forKey: id)?.resume(throwing: error)
  }

  private func abandonReady() {
    for continuation in waitingForReady { continuation.resume(throwing: CancellationError()) }
    waitingForReady = []
  }
}
