// SPDX-License-Identifier: Apache-2.0

/// Two hosts, and a guest that is moved between them, there and back, for as long as cases want one of
/// its memory.
actor XenMover {
  private let bed: XenBed
  private let hosts: [XenHost]
  private let step_us: Int
  private var guest: XenGuest?
  /// Where the guest is.
  private var place = 0

  /// - Parameters:
  ///   - hosts: two, with memxd running and guests welcome.
  ///   - step_us: the least time from one page of the guest's program to the next.
  init(_ bed: XenBed, _ hosts: [XenHost], step_us: Int) {
    self.step_us = step_us
    self.bed = bed
    self.hosts = hosts
  }

  /// A run's figures, and the size of its working set.
  struct Moved: Sendable {
    let figures: XenMoveFigures
    let workingSet_mib: Int
  }

  /// Moves a guest, of which nothing is left over when that fails.
  ///
  /// - Throws: ``LabError`` when it cannot be moved, or its data was wrong afterwards.
  func move(_ move: XenMove, by system: XenMoveSystem) async throws -> Moved {
    do {
      return try await measured(move, by: system)
    } catch {
      await clear()
      throw error
    }
  }

  private func measured(_ move: XenMove, by system: XenMoveSystem) async throws -> Moved {
    let guest = try await guest(memory_mib: move.memory_mib)
    let source = hosts[place]
    // Each time: Linux 6.12 has about 1 MiB less after every resume (docs/POSTCOPY.md).
    let available_mib = try await guest.available_kib() >> 10
    let size_mib = move.workingSet.size_mib(of: move.memory_mib, available_mib: available_mib)
    let sweep = try await Sweep.start(on: guest, move.access, size_mib: size_mib, step_us: step_us)
    let before_bytes = try await source.sent_bytes()
    let figures: XenMoveFigures
    if let strategy = system.strategy {
      figures = try await postCopy(
        guest, sweep, strategy, isComplete: system.isCompleteByItself, before_bytes)
    } else {
      figures = try await stopAndCopy(guest, sweep, before_bytes)
    }
    place = 1 - place
    return Moved(figures: figures, workingSet_mib: size_mib)
  }

  private func stopAndCopy(
    _ guest: XenGuest, _ sweep: Sweep, _ before_bytes: Int
  ) async throws -> XenMoveFigures {
    let source = hosts[place]
    let moved = try await StopAndCopy.move(
      guest.configuration.name, from: source, to: hosts[1 - place], timeout: Self.limit)
    let sent_bytes = try await source.sent_bytes() - before_bytes
    return XenMoveFigures(moved, sent_bytes: sent_bytes)
      .adding(longest_page_us: try await sweep.finish())
  }

  private func postCopy(
    _ guest: XenGuest, _ sweep: Sweep, _ strategy: String, isComplete: Bool, _ before_bytes: Int
  ) async throws -> XenMoveFigures {
    let (source, target) = (hosts[place], hosts[1 - place])
    let before = try await MoveCounters(of: guest)
    async let migration = source.migrate(
      guest, to: target, "--strategy \(strategy)", timeout: Self.limit)
    if isComplete {
      _ = try PostCopyReport(try await migration)
    } else {
      try await guest.missing(Self.limit) { $0 > 0 }
    }
    let longest_page_us = try await sweep.finish()
    let counted = try await MoveCounters(of: guest) - before
    if !isComplete { try await guest.fetchAll() }
    let report = try PostCopyReport(try await migration)
    try await guest.expectNothingLost()
    return XenMoveFigures(
      report, counted, isComplete: isComplete,
      sent_bytes: try await source.sent_bytes() - before_bytes
    ).adding(longest_page_us: longest_page_us)
  }

  /// The guest at hand, or a new one when that has another size.
  private func guest(memory_mib: Int) async throws -> XenGuest {
    if let guest {
      if guest.configuration.memory_mib == memory_mib { return guest }
      try await guest.powerOff(on: hosts[place])
    }
    guest = nil
    place = 0
    let guest = try await bed.guest(
      XenGuest.Configuration(memory_mib: memory_mib), on: hosts[place])
    self.guest = guest
    try await guest.pseudoPaging()
    return guest
  }

  /// Ends whatever guests there are.
  private func clear() async {
    await guest?.agent.kill()
    guest = nil
    for host in hosts {
      _ = try? await host.run(
        """
        for domain in $(xenstore-list /local/domain); do
          [ $domain = 0 ] || xl destroy $domain
        done
        """)
    }
  }

  private static let limit = Duration.seconds(1800)
}

extension XenMoveSystem {
  /// Whether all pages come without anybody's asking for them.
  fileprivate var isCompleteByItself: Bool { self != .demandOnly }
}

extension XenHost {
  /// What the network card has sent, in bytes.
  fileprivate func sent_bytes() async throws -> Int {
    let text = try await run("cat /sys/class/net/eth0/statistics/tx_bytes")
    guard let bytes = Int(text) else { throw LabError("tx_bytes is ‘\(text)’, no number") }
    return bytes
  }
}

extension XenGuest {
  /// Reads the whole device, so that nothing is missing any more.
  fileprivate func fetchAll() async throws {
    try await run(
      "dd if=/dev/memx0 of=/dev/null bs=128k iflag=direct 2> /dev/null", timeout: .seconds(900))
  }

  /// - Throws: ``LabError`` when its module has counted a page that was lost or damaged.
  fileprivate func expectNothingLost() async throws {
    for name in ["lost_pages", "bad_checksum", "missing_pages"] {
      let count = try await run("cat \(Self.device)/stats/\(name)")
      guard count == "0" else { throw LabError("\(name) of the moved guest is \(count)") }
    }
  }
}
