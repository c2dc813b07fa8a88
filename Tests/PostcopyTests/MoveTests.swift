// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

/// Real moves over a veth pair. They make network namespaces and have to run as root.
@Suite(.serialized) struct Move {
  private static let memory_bytes = 8 << 20

  @Test(arguments: [1500, 9000], [("sequential", 1), ("quicksort", 4)])
  func everyPageCrossesOnceAndIsRight(mtu: Int, program: (workload: String, processes: Int))
    async throws
  {
    let strategies = ["push", "streams+lru"]
    let found = try await Bench.figures(
      [
        "--workload", program.workload, "--processes", "\(program.processes)", "--memory",
        "\(Self.memory_bytes)", "--runs", "1", "--mtu", "\(mtu)", "--strategy",
      ] + strategies)
    #expect(found.map(\.strategy) == strategies)
    for run in found {
      #expect(run.bench == "prepaging" && run.schema == 1 && run.mtu == mtu && run.verified)
      #expect(run.workload == (program.processes == 1 ? "sequential" : "quicksort-4"))
      #expect(run.pages == Self.memory_bytes / 4096)
      #expect(run.pages_transferred == run.pages)
      #expect(run.pushed + run.fetched == run.pages)
      #expect(run.already_there == 0 && run.sessions == 1)
      #expect(run.touched_pages > run.pages / 2 && run.touched_pages <= run.pages)
      #expect(
        run.network_faults + run.announced_faults + run.minor_faults == run.touched_pages)
      #expect(run.fetched <= run.network_faults && run.minor_faults >= 0)
      // What no program has touched can only have been pushed.
      #expect(run.never_used == run.pages - run.touched_pages)
      let total_ms = try #require(run.total_ms)
      let resume_ms = try #require(run.resume_ms)
      #expect(abs(total_ms - run.preparation_ms - run.downtime_ms - resume_ms) < 0.05)
    }
  }

  @Test func withoutAPushOnlyWhatIsTouchedComes() async throws {
    let found = try await Bench.figures([
      "--memory", "\(Self.memory_bytes)", "--runs", "1", "--strategy", "demand-only",
    ])
    let run = try #require(found.first)
    #expect(run.resume_ms == nil && run.total_ms == nil)
    #expect(run.network_faults == run.touched_pages && run.fetched == run.touched_pages)
    #expect(run.pushed == 0 && run.minor_faults == 0 && run.network_fault_pct == 100)
  }

  /// A program that touches its pages at random, and does the same again, finds nearly all of them there when the
  /// server knows the order: each step takes longer than a page on the link.
  @Test(arguments: [["streams+lru", "--order", "touched"], ["replay+lru"]])
  func whatWasTouchedBeforeIsThereInTime(strategy: [String]) async throws {
    let found = try await Bench.figures(
      [
        "--memory", "\(Self.memory_bytes)", "--runs", "1", "--workload", "random", "--work-us",
        "100", "--rate-mb-s", "125", "--strategy",
      ] + strategy)
    let run = try #require(found.first)
    #expect(run.order == "touched")
    #expect(run.network_faults * 10 < run.touched_pages)
    #expect(run.pages_transferred == run.pages)
  }

  @Test func theLinkKeepsToItsRate() async throws {
    let found = try await Bench.figures([
      "--memory", "\(Self.memory_bytes)", "--runs", "1", "--strategy", "push", "--rate-mb-s", "50",
      "200",
    ])
    #expect(found.map(\.rate_mb_s) == [50, 200])
    for run in found {
      let least_ms = Double(Self.memory_bytes) / Double(run.rate_mb_s) / 1000
      // The bucket is full at the start: two frames.
      let bucket_ms = 2 * 9014 / Double(run.rate_mb_s) / 1000
      #expect(try #require(run.resume_ms) + run.downtime_ms >= least_ms - bucket_ms)
    }
  }

  @Test func aTraceOfARealProgramMoves() async throws {
    let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let found = try await Bench.figures([
      "--workload", "trace", "--trace", "/\(root)/tools/traces/sqlite.trace", "--runs", "1",
      "--strategy", "bubble-dual-multi+lru", "--rate-mb-s", "0",
    ])
    let run = try #require(found.first)
    #expect(run.workload == "sqlite" && run.rate_mb_s == 0)
    #expect(run.pages_transferred == run.pages && run.verified)
  }

  @Test func nothingOutlivesABenchmarkThatIsKilled() async throws {
    let bench = Process()
    bench.executableURL = URL(filePath: try Bench.path().string)
    bench.arguments = ["postcopy", "--memory", "64M", "--runs", "100", "--processes", "2"]
    bench.standardOutput = FileHandle.nullDevice
    try bench.run()
    // The server, and the programs at the source or the target.
    let children = try waitFor("children") { () -> [Int32]? in
      let children = self.children(of: bench.processIdentifier)
      return children.count >= 3 ? children : nil
    }
    kill(bench.processIdentifier, SIGKILL)
    bench.waitUntilExit()
    for child in children {
      _ = try waitFor("the end of \(child)") { isRunning(child) ? nil : child }
    }
  }

  private func waitFor<T>(_ what: String, _ value: () -> T?) throws -> T {
    let end = Date(timeIntervalSinceNow: 10)
    while Date.now < end {
      if let found = value() { return found }
      usleep(5000)
    }
    Issue.record("waited in vain for \(what)")
    throw CancellationError()
  }

  private func children(of process: Int32) -> [Int32] {
    let tasks =
      (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/task")) ?? []
    return tasks.flatMap { task in
      ((try? String(contentsOfFile: "/proc/\(process)/task/\(task)/children", encoding: .utf8))
        ?? "")
        .split(separator: " ").compactMap { Int32($0) }
    }
  }

  /// Neither gone nor a zombie.
  private func isRunning(_ process: Int32) -> Bool {
    guard let stat = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
      let name = stat.lastIndex(of: ")")
    else { return false }
    return !stat[name...].hasPrefix(") Z")
  }
}
