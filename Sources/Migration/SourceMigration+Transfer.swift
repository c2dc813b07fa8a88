// SPDX-License-Identifier: Apache-2.0
import CMemx
import Console
import Control
import Processes

extension SourceMigration {
  /// Suspends the guest and streams what could not be paged out; returns when the guest runs at the target.
  mutating func transfer(_ channel: TargetChannel, _ image: inout ImageSender) throws(Failure) {
    let suspended_ns = monotonicNs()
    let saved = try stream(&image, to: channel)
    guard saved.succeeded else {
      // xl lets the domain run on when it cannot save it, and the module takes its pages back.
      try? serve.remove()
      throw Failure(.failed, "\(saved.reason); \(request.domain) runs on here")
    }
    report.save_ms = (monotonicNs() - suspended_ns) / 1_000_000
    while true {
      switch channel.receive(timeout_ms: -1) {
      case .nothing: continue
      case .line(let line) where line.word == "resumed":
        report.downtime_ms = (monotonicNs() - suspended_ns) / 1_000_000
        report.slots_used = (try? guest.number("used")) ?? 0
        report.slots_frozen = (try? guest.number("slots_frozen")) ?? 0
        report.freeze_ms = (try? guest.number("freeze_ms")) ?? 0
        return
      case .line(let line) where line.word == "failed":
        try returnToSource(because: line.values["text"] ?? "it does not say why")
      case .line(let line):
        throw uncertain("the target said '\(line.text)', which means nothing here")
      case .end:
        throw uncertain("the connection to the target broke before it said how it went")
      }
    }
  }

  /// - Returns: whether the whole guest was written to the channel, and if not why.
  private mutating func stream(
    _ image: inout ImageSender, to channel: TargetChannel
  ) throws(Failure) -> (succeeded: Bool, reason: String) {
    do throws(RunFailure) {
      guard channel.send(Line("stream")) else { return (false, "the target is gone") }
      let (data, messages) = (try Pipe(), try Pipe())
      let save = try toolstack.save(
        request.domain, output: data.writeEnd, errors: messages.writeEnd)
      data.closeWriteEnd()
      messages.closeWriteEnd()
      // The more fits in, the fewer turns between programs. A pipe that stays small works as well.
      _ = memx_pipe_resize(data.readEnd, 1 << 20)
      var reason: String?
      var nextLook_ns: UInt64 = 0
      pumping: while true {
        switch image.step(from: data.readEnd) {
        case .end: break pumping
        case .broken:
          reason = whyBroken(channel)
          break pumping
        case .moved, .idle:
          if isCancelled() {
            reason = "cancelled"
            break pumping
          }
        }
        // Every look at XenStore is downtime.
        guard monotonicNs() >= nextLook_ns else { continue }
        nextLook_ns = monotonicNs() + 250_000_000
        if (try? guest.state()) == .failed {
          reason = "the guest could not hand its pages over: \(whyFailed)"
          break pumping
        }
        showTransfer(bytes: image.bytes)
      }
      // Without a reader xl fails, and says so to the domain.
      data.closeReadEnd()
      if reason != nil { channel.close() }
      let said = lastLines(messages.readEnd)
      let status = save.wait()
      if status == 0, reason == nil, !image.finish() {
        reason = "the connection to the target broke"
      }
      report.residual_bytes = image.bytes
      if status == 0, let reason {
        // The last bytes had gone out, but not to the end of the channel.
        try toolstack.unpause(domain)
        return (false, reason)
      }
      return (status == 0, reason ?? "xl save failed: \(said)")
    } catch {
      throw Failure(.failed, "\(error.description); see xl list for where the domain is")
    }
  }

  private var whyFailed: String { ((try? guest.text("error")) ?? nil) ?? "it does not say why" }

  private func showTransfer(bytes: UInt64) {
    let released = ((try? guest.number("released")) ?? nil) ?? 0
    let used = ((try? guest.number("used")) ?? nil) ?? 0
    // What is left of the memory, at most; and of what went ahead hardly anything.
    let gone = released + used + report.precopied_pages
    let expected = 4096 * (report.memory_pages - min(gone, report.memory_pages))
    progress(
      MigrationProgress(
        phase: .transfer, fraction: Double(bytes) / Double(max(1, expected))))
  }

  /// A target that gives up says why before it goes.
  private func whyBroken(_ channel: TargetChannel) -> String {
    guard case .line(let line) = channel.receive(timeout_ms: 2000), line.word == "failed" else {
      return "the connection to the target broke"
    }
    return "the target could not restore the guest: \(line.values["text"] ?? "it does not say why")"
  }

  /// The target has no such guest: it runs on here.
  private func returnToSource(because reason: String) throws(Failure) -> Never {
    do throws(RunFailure) {
      try toolstack.unpause(domain)
      try serve.remove()
    } catch {
      throw Failure(
        .failed,
        "the target could not restore the guest (\(reason)), and this host cannot let it run on: "
          + error.description)
    }
    throw Failure(
      .refused, "the target could not restore the guest: \(reason); \(request.domain) runs on here")
  }

  /// Two guests with one memory must never run: somebody has to look.
  private func uncertain(_ what: String) -> Failure {
    Failure(
      .failed,
      "\(what); the domain is kept here, paused. If it does not run at the target: xl unpause "
        + "\(request.domain). If it does, leave it until its pages have moved.")
  }
}
