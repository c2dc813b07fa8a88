// SPDX-License-Identifier: Apache-2.0
import Links
import Processes
import RMAP

/// Has pages stored at a server, each in the slot of its number.
struct PageStorer: CompletionSink, ~Copyable {
  private let memory: UnsafeMutableRawPointer
  private let pages: Int
  private var submitted = 0
  private(set) var failure: Outcome?

  /// - Parameter memory: of `pages` pages, unchanged until all are stored.
  init(_ memory: UnsafeMutableRawPointer, pages: Int) {
    self.memory = memory
    self.pages = pages
  }

  mutating func completed(request: UInt64, outcome: Outcome) {
    if outcome != .done { failure = failure ?? outcome }
  }

  /// Has every page been submitted, or none more is to be?
  var isExhausted: Bool { submitted == pages || failure != nil }

  /// Submits as many as the session takes.
  mutating func submit(to session: inout ClientSession, now_ns: UInt64) {
    while session.hasRoom, !isExhausted {
      _ = session.submit(
        .write, slot: UInt64(submitted), buffer: memory + submitted * Wire.pageBytes,
        request: UInt64(submitted), now_ns: now_ns)
      submitted += 1
    }
  }
}

extension RmapClient where Port: ~Copyable {
  /// Stores pages, that of number n in slot n.
  ///
  /// - Throws: when the server refuses one.
  mutating func store(_ memory: UnsafeMutableRawPointer, pages: Int) throws(RunFailure) {
    var storer = PageStorer(memory, pages: pages)
    repeat {
      var now_ns = monotonic_ns()
      var count = 0
      while count < 32, let frame = port.next() {
        session.receive(
          frame: frame.bytes, from: frame.source, now_ns: now_ns, completions: &storer)
        count += 1
      }
      now_ns = monotonic_ns()
      storer.submit(to: &session, now_ns: now_ns)
      _ = session.poll(now_ns: now_ns, sink: &port, completions: &storer)
      port.flush()
      if count == 0 { port.wait(timeout_ms: 1) }
    } while session.outstanding > 0 || !storer.isExhausted
    if let failure = storer.failure {
      throw RunFailure("the server has not stored a page: \(failure)")
    }
  }
}
