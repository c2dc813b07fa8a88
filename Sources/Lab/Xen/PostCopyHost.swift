// SPDX-License-Identifier: Apache-2.0

extension XenHost {
  private static let memxdLog = "/run/memxd.log"
  /// The port on which a host takes guests in.
  private static let receivePort = 6001

  /// Starts `memxd --xen` on the bridge, and waits until it has told guests' hosts where it is.
  ///
  /// - Parameter rdma: also over RDMA.
  /// - Throws: ``LabError`` with the end of its log when it does not get there in time.
  func startMemxd(rdma: Bool = false) async throws {
    if rdma { try await addSoftRoCE(to: Dom0.bridge) }
    let links =
      [Dom0.bridge] + (rdma ? ["rdma:\(machine.address)"] : [])
    try await run(
      """
      memxd \(links.map { "--link \($0)" }.joined(separator: " ")) --xen --memory 16M >> \(Self.memxdLog) 2>&1 &
      echo $! > /run/memxd.pid
      """)
    let told = try await outcome(
      """
      n=0
      until xenstore-exists /local/domain/0/memx/server/\(rdma ? "rdma" : "ethernet"); do
        usleep 100000
        [ -e /proc/$(cat /run/memxd.pid) ] && [ $((n += 1)) -lt 600 ] || exit 1
      done
      """)
    guard told.succeeded else {
      throw LabError(
        "memxd on \(machine.name) did not get ready:\n"
          + (try await run("tail -n 10 \(Self.memxdLog)")))
    }
  }

  /// Kills memxd, as a fault of its own would.
  func killMemxd() async throws {
    try await run("kill -9 $(cat /run/memxd.pid)")
  }

  /// Takes in guests that others send, as sshd would.
  func takeGuests() async throws {
    try await serve(Self.receivePort, "memxctl receive", log: "/run/receive.log")
  }

  /// Moves a guest from here to another host by post-copy, and returns when its last page has come.
  ///
  /// - Parameter words: further words for `memxctl migrate`.
  /// - Returns: how that ended, and what memxctl printed, as JSON.
  func migrate(
    _ guest: XenGuest, to target: XenHost, _ words: String = "",
    timeout: Duration = .seconds(600)
  ) async throws -> Guest.Outcome {
    try await outcome(migration(of: guest, to: target, words), timeout: timeout)
  }

  /// Starts to move a guest, and cancels that as soon as what its module says fulfils a condition.
  ///
  /// - Parameter condition: in the shell's language, with the module's own state and figures in its directory of XenStore
  ///   as `said NAME`.
  /// - Returns: how `memxctl migrate` ended, and what it printed.
  func cancelledMigration(
    of guest: XenGuest, to target: XenHost, when condition: String,
    timeout: Duration = .seconds(600)
  ) async throws -> Guest.Outcome {
    try await outcome(
      """
      said() { xenstore-read \(guest.store)/$1 2> /dev/null || echo 0; }
      \(migration(of: guest, to: target)) &
      until \(condition) || ! kill -0 $!; do
        usleep 50000
      done
      kill -INT $!
      wait $!
      """, timeout: timeout)
  }

  /// The command that moves a guest from here to another host.
  private func migration(of guest: XenGuest, to target: XenHost, _ words: String = "") -> String {
    "memxctl migrate \(guest.configuration.name) 'wire call \(target.machine.address)"
      + " \(Self.receivePort)' --ssh-command '' --json \(words)"
  }

  /// What memxd and the receiver have said; for people.
  func memxLogs() async throws -> String {
    try await run(
      "for log in \(Self.memxdLog) /run/receive.log; do echo \"== $log\"; cat $log 2>&1; done; true"
    )
  }
}
