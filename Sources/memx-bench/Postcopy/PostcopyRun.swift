// SPDX-License-Identifier: Apache-2.0
import Console
import Glibc
import Links
import Processes
import RMAP
import RemoteMemory

/// What one run came to.
struct PostcopyFigures {
  /// From the stop at the source, its pages stored already, to when every program has its state at the target.
  var downtime_ns: UInt64 = 0
  /// From there to when every page has come; nil when the programs ended before, as nothing is pushed.
  var resume_ns: UInt64?
  /// From there to when the last program has finished.
  var run_ns: UInt64 = 0
  /// At the end of the transfer; or of the programs, when that does not end.
  var report = RemoteMemoryReport()
  /// Pages that programs waited for, in the order of their first touches, when that was to be recorded.
  var touches: [Extent] = []
  /// CPU time of memxd.
  var server_us: Double = 0
}

/// Runs the stopped programs to their end.
struct PostcopyRun {
  let stopped: StoppedPrograms
  let tracePath: String?
  let timeout_s: Int

  /// Steps that are left, of all programs.
  private var steps: Int { stopped.totalSteps.reduce(0, +) - stopped.stepsDone.reduce(0, +) }

  private var traceArguments: [String] { tracePath.map { ["--trace", $0] } ?? [] }

  private func fraction(_ steps: Int) -> Double {
    Double(steps - stopped.stepsDone.reduce(0, +)) / Double(max(1, self.steps))
  }

  /// Runs the programs where they are, in processes that never move.
  ///
  /// - Returns: from the moment at which the others stop to the end of the last, in nanoseconds.
  func stay(_ progress: (Double) -> Void) throws(RunFailure) -> UInt64 {
    let crew = try PostcopyCrew(stopped.states.count) { index in
      ["--pages", "\(stopped.pages)", "--first-steps", "\(stopped.stepsDone[index])"]
        + traceArguments
    }
    try crew.tell { "state \(hexadecimal(stopped.firstStates[$0]))" }
    try crew.waitUntilReady(timeout_s: timeout_s)
    let start_ns = monotonic_ns()
    try crew.tell { _ in "go" }
    let end_ns = try crew.waitUntilFinished(timeout_s: timeout_s) { progress(fraction($0)) }
    try crew.verify(timeout_s: timeout_s)
    return end_ns - start_ns
  }

  /// Moves the programs with a strategy, runs them to their end, and has them verify their data.
  ///
  /// - Parameters:
  ///   - order: the order that the server is told.
  ///   - recordsTouches: whether to note the order of first touches.
  ///   - isComplete: whether the strategy moves every page in the end.
  func move(
    _ bed: PostcopyBed, strategy: String, order: [Extent], isComplete: Bool,
    recordsTouches: Bool = false, _ progress: (Double) -> Void
  ) throws -> PostcopyFigures {
    try bed.target.enter()
    defer { try? bed.source.enter() }
    let crew = try PostcopyCrew(stopped.states.count) { index in
      ["--pages", "\(stopped.pages)", "--first-slot", "\(index * stopped.pages)"] + traceArguments
    }
    // The target has its processes and their empty memory before the source stops.
    var userfaultfds = UserfaultfdTable()
    var areas: [Area] = []
    for index in 0..<crew.count {
      let handOver = try HandOver.receive(from: crew.socket(index), timeout_ms: 10_000)
      let mapping = handOver.mappings[0]
      areas.append(mapping.area(userfaultfd: try userfaultfds.append(handOver.take())))
    }
    var configuration = RemoteMemoryConfiguration(
      link: PostcopyBed.targetEnd, region: RegionName(PostcopyBed.region)!)
    configuration.strategy = strategy
    configuration.order = order
    configuration.recordsTouches = recordsTouches
    configuration.giveUp_ms = 10_000

    var figures = PostcopyFigures()
    let serverBefore = CPUUse(serverPid: bed.serverPid)
    let stop_ns = monotonic_ns()
    let memory = try RemoteMemory(configuration, areas: areas, userfaultfds: userfaultfds)
    let serviceStart_ns = monotonic_ns()
    try crew.tell { "state \(hexadecimal(stopped.states[$0]))" }
    let resume_ns = monotonic_ns()
    figures.downtime_ns = resume_ns - stop_ns
    let end_ns: UInt64
    do throws(RunFailure) {
      end_ns = try crew.waitUntilFinished(timeout_s: timeout_s) { progress(fraction($0)) }
    } catch {
      try bed.checkServer()
      throw memory.report.failure.map { RunFailure("\(error); \($0)") } ?? error
    }
    figures.run_ns = end_ns - resume_ns
    // Looking at every byte, later, touches the rest.
    figures.touches = memory.touches
    if isComplete {
      figures.report = try waitUntilComplete(memory, bed)
      // The last page may come before the last of many programs is told to go on.
      figures.resume_ns = max(serviceStart_ns + figures.report.elapsed_ns, resume_ns) - resume_ns
      figures.server_us = CPUUse(serverPid: bed.serverPid).since(serverBefore).server_us ?? 0
      try crew.verify(timeout_s: timeout_s)
    } else {
      // Its figures are published now and then only.
      while memory.report.elapsed_ns < end_ns &- serviceStart_ns + 1_000_000,
        memory.report.phase == .moving
      {
        usleep(2000)
      }
      figures.report = memory.report
      figures.server_us = CPUUse(serverPid: bed.serverPid).since(serverBefore).server_us ?? 0
      // Looking at every byte fetches the rest.
      try crew.verify(timeout_s: timeout_s)
      memory.stop()
    }
    return figures
  }

  private func waitUntilComplete(
    _ memory: RemoteMemory, _ bed: PostcopyBed
  ) throws(RunFailure) -> RemoteMemoryReport {
    let end_ns = monotonic_ns() + UInt64(timeout_s) * 1_000_000_000
    while true {
      let report = memory.report
      switch report.phase {
      case .complete: return report
      case .ended: throw RunFailure("the post-copy failed: \(report.failure ?? "it ended")")
      case .attaching, .moving: break
      }
      try bed.checkServer()
      guard monotonic_ns() < end_ns else {
        throw RunFailure(
          "only \(report.fetched + report.pushed) of \(report.pages) pages have come within \(timeout_s) s"
        )
      }
      usleep(2000)
    }
  }
}
