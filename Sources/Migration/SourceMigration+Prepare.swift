// SPDX-License-Identifier: Apache-2.0
import Console
import Control
import Glibc
import Processes

extension SourceMigration {
  /// Sends ahead what the guest cannot page out, and has it page out the rest while it runs: two rounds of pre-copy over
  /// its kernel, one before the page-out and one after, so that only what changes from here on has to move while it stands
  /// still. The page-out comes last of what takes long, since programs read their pages back as soon as it has ended.
  ///
  /// Nothing goes ahead where the guest has not listed such pages, for want of memory, or the target has no room to keep
  /// them.
  mutating func prepare(
    server: String, _ channel: TargetChannel, _ image: inout ImageSender
  ) throws(Failure) {
    let began_ns = monotonicNs()
    do throws(RunFailure) {
      try askToPrepare(server: server)
      try store.watch(guest.path)
      try awaitState(.preparing, hasBegun: false)
      let precopy = try welcomePrecopy(channel)
      let listed_ns = monotonicNs()
      try precopy?.send(by: &image) { share throws(RunFailure) in try goOn(ahead: share) }
      let precopied_ns = monotonicNs()
      try guest.write("request", "page-out")
      try awaitState(.prepared, hasBegun: true)
      let prepared_ns = monotonicNs()
      // What the page-out itself has changed.
      try precopy?.send(by: &image) { _ throws(RunFailure) in try goOn(ahead: 1) }
      if precopy != nil, !image.finishAhead() {
        throw RunFailure("the connection to the target broke")
      }
      report.precopy_ms = (precopied_ns - listed_ns + monotonicNs() - prepared_ns) / 1_000_000
      report.precopied_pages = UInt64(image.aheadPages)
    } catch {
      try? cancelPreparation()
      throw Failure(.failed, "\(error.description); \(request.domain) runs on here")
    }
    report.preparation_ms = (monotonicNs() - began_ns) / 1_000_000
  }

  private func askToPrepare(server: String) throws(RunFailure) {
    let region = "xen-\(domain)-\(randomWord(length: 8))"
    let token = randomWord(length: 32)
    try serve.ask(region: region, token: token)
    for (name, value) in [
      ("server", server), ("region", region), ("token", token), ("strategy", request.strategy),
      ("rate", "\(request.rate_bytes_s)"), ("prepare_s", "\(request.prepare_s)"),
      ("request", "prepare"),
    ] {
      try guest.write(name, value)
    }
  }

  /// Waits until the guest's module is in a state of a preparation.
  ///
  /// - Parameter hasBegun: whether the module was seen to prepare; should it be idle again, somebody has cancelled that.
  private func awaitState(_ wanted: GuestState, hasBegun: Bool) throws(RunFailure) {
    let limit_ns = monotonicNs() + UInt64(request.prepare_s + 60) * 1_000_000_000
    var seen = hasBegun
    while true {
      // Until the module has taken the request, the state is an earlier migration's.
      let state = try guest.text("request") == nil ? try guest.state() : nil
      if state == wanted { return }
      if state == .preparing { seen = true }
      if state == .failed || seen && state == .idle {
        throw RunFailure(
          "the guest cannot page out: \(try guest.text("error") ?? "it does not say why")")
      }
      if monotonicNs() > limit_ns {
        throw RunFailure(
          seen
            ? "the guest pages out for longer than \(request.prepare_s) s"
            : "the guest's module does not answer; see its kernel log")
      }
      try goOn(ahead: hasBegun ? 1 : 0)
      waitForChange(timeout_ms: 200)
    }
  }

  /// What goes ahead; nil when nothing does.
  private func welcomePrecopy(_ channel: TargetChannel) throws(RunFailure) -> Precopy? {
    guard let root = try guest.text("resident") else { return nil }
    let precopy = try Precopy(
      root: root, of: domain, limit: Int(report.memory_pages), mapper: mapper)
    guard channel.send(Line("precopy", ["pages": "\(precopy.pages)"])),
      case .line(let answer) = channel.receive(timeout_ms: 60_000)
    else { throw RunFailure("the connection to the target broke") }
    return answer.word == "ready" ? precopy : nil
  }

  /// Shows how far it is; half of it is what goes ahead.
  ///
  /// - Parameter ahead: the share of pages that have gone ahead.
  /// - Throws: when it is not to go on.
  private func goOn(ahead: Double) throws(RunFailure) {
    if isCancelled() { throw RunFailure("cancelled") }
    let released = try guest.number("released") ?? 0
    let share = Double(released) / Double(max(1, report.memory_pages))
    progress(MigrationProgress(phase: .prepare, fraction: (ahead + min(1, share)) / 2))
  }

  func cancelPreparation() throws(RunFailure) {
    try guest.write("request", "cancel")
    try serve.remove()
  }

  /// Waits until XenStore says something, or for `timeout_ms`.
  func waitForChange(timeout_ms: Int32) {
    var ready = pollfd(fd: store.descriptor, events: Int16(POLLIN), revents: 0)
    if poll(&ready, 1, timeout_ms) > 0 { try? store.takeChanges() }
  }
}

/// Letters and digits that nobody can guess.
private func randomWord(length: Int) -> String {
  let letters = Array("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
  var generator = SystemRandomNumberGenerator()
  return String((0..<length).map { _ in letters.randomElement(using: &generator)! })
}
