// SPDX-License-Identifier: Apache-2.0

/// What runs in a guest while it moves, and shows that nothing of it was lost or stood still for
/// longer than it had to: memory of known content, a sort in several processes that checks itself, a
/// heartbeat, and a server that a client outside keeps asking.
struct MovedPrograms: Sendable {
  /// How large they are.
  struct Sizes: Sendable {
    /// Anonymous memory of known content, in MiB.
    var held_mib = 32
    /// A file of known content in a tmpfs, in MiB.
    var file_mib = 8
    /// What the server answers from, in MiB.
    var table_mib = 8
    /// What is sorted, in MiB.
    var sorted_mib = 16
  }

  private static let port = 7000
  private static let period_ms = 20

  private let guest: XenGuest
  private let sizes: Sizes
  private let watcher: PulseWatcher
  private let sorted: Task<Guest.Outcome, any Error>

  /// Starts them, and returns when all are at work.
  ///
  /// - Throws: ``LabError`` when one does not get there in time.
  static func start(
    on guest: XenGuest, of bed: XenBed, _ sizes: Sizes = Sizes()
  ) async throws -> MovedPrograms {
    try await guest.run(
      """
      mkfifo /run/check
      holding \(sizes.held_mib) /tmp/held \(sizes.file_mib) <> /run/check > /run/held 2>&1 &
      pulse serve \(port) \(sizes.table_mib) \(period_ms) > /run/pulse 2>&1 &
      """, in: .work)
    try await guest.until("grep -q filled /run/held", timeout: .seconds(120))
    let watcher = try await PulseWatcher.start(
      bed.parts.pulse,
      [guest.configuration.address, "\(port)", "\(sizes.table_mib)", "\(period_ms)"],
      in: bed.namespace, log: bed.directory.appending("pulse.log"))
    try await watcher.until("the heartbeat", timeout: .seconds(60)) { $0.beats > 20 }
    let sorted = Task {
      try await guest.outcome(
        """
        times=0
        until [ -e /run/enough ]; do
          memx-bench swap --workload quicksort --size \(sizes.sorted_mib)M --processes 2 --json --force || exit
          times=$((times + 1))
        done
        echo sorted $times times
        """, in: .work, timeout: .seconds(1800))
    }
    return MovedPrograms(guest: guest, sizes: sizes, watcher: watcher, sorted: sorted)
  }

  /// What the client outside has seen up to now.
  func seen() async throws -> PulseWatcher.Seen { try await watcher.seen() }

  /// Reads all memory of known content.
  ///
  /// - Returns: `verified`, or what is wrong.
  func check(timeout: Duration = .seconds(120)) async throws -> String {
    try await guest.run(
      """
      lines=$(wc -l < /run/held)
      echo > /run/check
      while [ $(wc -l < /run/held) = $lines ]; do usleep 50000; done
      tail -n 1 /run/held
      """, timeout: timeout)
  }

  /// After pages were lost: no program may have read anything else than what it had written, and those
  /// that touched a lost page were ended.
  func expectErrors(_ findings: Findings) async throws {
    try await guest.run("touch /run/enough; echo > /run/check")
    try await guest.until(
      "! pidof holding > /dev/null || grep -q -e verified -e wrong /run/held",
      timeout: .seconds(120))
    let held = try await guest.run("tail -n 1 /run/held")
    await findings.expect(!held.contains("wrong"), "memory of known content: \(held)")
    let sorted = try await sorted.value
    await findings.expect(
      !Workload.foundWrongData(sorted), "wrong data instead of errors: \(sorted.text)")
    let seen = try await watcher.seen()
    await watcher.stop()
    await findings.expect(seen.wrong == 0, "\(seen.wrong) answers were wrong")
  }

  /// Waits until questions are answered again, checks everything, and ends the programs.
  func finish(_ findings: Findings) async throws {
    let before = try await watcher.seen()
    try await watcher.until("answers after the move", timeout: .seconds(120)) {
      $0.answered > before.answered + 50
    }
    let checked = try await check()
    await findings.expect(checked == "verified", "memory of known content: \(checked)")
    try await guest.run("touch /run/enough")
    let sorted = try await sorted.value
    await findings.expect(
      sorted.succeeded && sorted.text.contains("sorted "), "quicksort: \(sorted.text)")
    let seen = try await watcher.seen()
    await watcher.stop()
    await findings.set("asked", .count(seen.asked))
    await findings.set("answered", .count(seen.answered))
    await findings.set("stopped_ms", .number(seen.stopped_ms))
    await findings.set("silence_ms", .number(seen.silence_ms))
    await findings.expect(seen.wrong == 0, "\(seen.wrong) answers were wrong")
    await findings.expect(seen.repeated == 0, "\(seen.repeated) answers came twice")
  }
}
