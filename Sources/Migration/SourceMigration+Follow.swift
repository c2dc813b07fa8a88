// SPDX-License-Identifier: Apache-2.0
import Console
import Control
import Processes

extension SourceMigration {
  /// The guest runs at the target: follows its pages until the last has come, and then takes away what is
  /// left of the domain here.
  mutating func follow(_ channel: TargetChannel) throws(Failure) {
    let resumed_ns = monotonicNs()
    var targetSpeaks = true
    do throws(RunFailure) {
      try store.watch("\(serve.path)/state")
      // Should it have been suspended without handing its pages over, it has moved as a whole.
      var isOver = try guest.state() != .frozen
      while !isOver {
        if targetSpeaks {
          switch channel.receive(timeout_ms: 500, also: store.descriptor) {
          case .nothing: break
          case .end: targetSpeaks = false
          case .line(let line):
            take(line)
            if line.word == "failed" || line.word == "gone" { throw lost(line) }
            if line.word == "complete" { (isOver, targetSpeaks) = (true, false) }
          }
        } else {
          waitForChange(timeout_ms: 500)
        }
        try store.takeChanges()
        switch try serve.state() {
        case "complete": isOver = true
        case "failed":
          throw RunFailure(
            "memxd here cannot serve the guest's pages: \(try serve.text("error") ?? "see its log")"
          )
        default: showPush()
        }
      }
      report.resume_ms = (monotonicNs() - resumed_ns) / 1_000_000
      // The target's last word has the guest's own figures.
      while targetSpeaks, try guest.state() == .frozen,
        case .line(let line) = channel.receive(timeout_ms: 10_000)
      {
        take(line)
        if line.word == "complete" { break }
      }
      try toolstack.destroy(domain)
      try serve.remove()
    } catch {
      throw Failure(
        .failed,
        "\(error.description). \(request.domain) runs at the target; its paused remains here hold the "
          + "pages that have not moved: xl destroy \(domain) gives them up")
    }
  }

  private func showPush() {
    guard let all = try? serve.number("pages"), let left = try? serve.number("remaining"), all > 0
    else { return }
    progress(MigrationProgress(phase: .push, fraction: 1 - Double(left) / Double(all)))
  }

  private mutating func take(_ line: Line) {
    guard line.word == "complete" || line.word == "progress" || line.word == "failed" else {
      return
    }
    report.pushed = line.number("pushed")
    report.fetched = line.number("fetched")
    report.network_faults = line.number("network_faults")
    report.minor_faults = line.number("minor_faults")
    report.unused = line.number("unused")
    report.longest_wait_us = line.number("longest_wait_us")
  }

  /// The guest has lost pages, or ended.
  private func lost(_ line: Line) -> RunFailure {
    if line.word == "gone" {
      return RunFailure("the guest ended before all of its pages had moved")
    }
    let text = line.values["text"] ?? "it does not say why"
    return RunFailure("the guest lost \(line.number("missing")) pages: \(text)")
  }
}
