// SPDX-License-Identifier: Apache-2.0
import Console

/// What a worker tells over its pipe. On the pipe a message is 64-bit words of the machine's own
/// byte order: kind, number of words that follow, those words. Both ends are one program.
enum WorkerMessage {
  /// The memory is there and the work can start.
  case ready
  /// So many units of work are done.
  case progress(Int)
  /// The work is done and the data was right.
  case done(WorkerOutcome)
  /// It ended early; the sentence says why.
  case failed(String)

  /// Writes the message; returns whether the reader was still there.
  func write(to descriptor: Int32) -> Bool {
    let kind: UInt64
    let payload: [UInt64]
    switch self {
    case .ready: (kind, payload) = (0, [])
    case .progress(let units): (kind, payload) = (1, [UInt64(units)])
    case .done(let outcome):
      kind = 2
      payload =
        [outcome.fillNs, outcome.workNs, outcome.verifyNs, outcome.touches]
        + outcome.latency.pairs
    case .failed(let text):
      // A character a word: these come once at most, and bytes would need a length of their own.
      (kind, payload) = (3, text.unicodeScalars.map { UInt64($0.value) })
    }
    return writeAll(
      ([kind, UInt64(payload.count)] + payload).withUnsafeBytes(Array.init), to: descriptor)
  }

  /// The messages in `bytes`, which loses what it gives.
  static func take(from bytes: inout [UInt8]) -> [WorkerMessage] {
    var messages: [WorkerMessage] = []
    var offset = 0
    func word(_ index: Int) -> UInt64 {
      bytes.withUnsafeBytes {
        $0.loadUnaligned(fromByteOffset: offset + index * 8, as: UInt64.self)
      }
    }
    while bytes.count - offset >= 16 {
      // Longer than any message: the other end is not this program.
      precondition(word(1) < 1 << 20, "a worker's message has a length")
      let count = Int(word(1))
      guard bytes.count - offset >= (count + 2) * 8 else { break }
      let payload = (0..<count).map { word(2 + $0) }
      switch word(0) {
      case 0: messages.append(.ready)
      case 1: messages.append(.progress(Int(payload[0])))
      case 2:
        var outcome = WorkerOutcome()
        outcome.fillNs = payload[0]
        outcome.workNs = payload[1]
        outcome.verifyNs = payload[2]
        outcome.touches = payload[3]
        outcome.latency = FaultLatency(pairs: payload[4...])
        messages.append(.done(outcome))
      default:
        var text = ""
        for value in payload {
          text.unicodeScalars.append(Unicode.Scalar(UInt32(truncatingIfNeeded: value)) ?? "?")
        }
        messages.append(.failed(text))
      }
      offset += (count + 2) * 8
    }
    bytes.removeFirst(offset)
    return messages
  }
}
