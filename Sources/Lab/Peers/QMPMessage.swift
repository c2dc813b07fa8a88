// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials

/// A line that QEMU writes on its control socket (QEMU's docs/interop/qmp-spec).
struct QMPMessage: Sendable {
  /// What it tells.
  enum Kind: Sendable, Hashable {
    /// QEMU is there and waits for `qmp_capabilities`.
    case greeting
    /// The end of the command with this number.
    case answer(Int)
    /// Something happened, by its name.
    case event(String)
  }

  let kind: Kind
  /// When an event happened, in µs since 1970; 0 for others.
  let time_us: Int64
  /// Why a command failed.
  let failure: String?
  private let line: Data

  /// Reads a line; nil when it is none of these.
  init?(_ line: String) {
    struct Head: Decodable {
      struct Greeting: Decodable {}
      struct Failure: Decodable { let desc: String }
      struct Timestamp: Decodable {
        let seconds: Int64
        let microseconds: Int64
      }
      let QMP: Greeting?
      let id: Int?
      let event: String?
      let error: Failure?
      let timestamp: Timestamp?
    }
    self.line = Data(line.utf8)
    guard let head = try? JSONDecoder().decode(Head.self, from: self.line) else { return nil }
    if head.QMP != nil {
      kind = .greeting
    } else if let event = head.event {
      kind = .event(event)
    } else if let id = head.id {
      kind = .answer(id)
    } else {
      return nil
    }
    time_us = head.timestamp.map { $0.seconds * 1_000_000 + $0.microseconds } ?? 0
    failure = head.error?.desc
  }

  /// What a command returned.
  ///
  /// - Throws: ``LabError`` when it failed or returned something else.
  func returned<R: Decodable>(_: R.Type) throws -> R {
    if let failure { throw LabError("QEMU refused: \(failure)") }
    do {
      return try JSONDecoder().decode(Answer<R>.self, from: line).return
    } catch {
      throw LabError("QEMU's answer cannot be read: \(String(decoding: line, as: UTF8.self))")
    }
  }
}

private struct Answer<Return: Decodable>: Decodable { let `return`: Return }
