// SPDX-License-Identifier: Apache-2.0

/// A machine that runs a scenario's commands: a guest, dom0 of a Xen host, a guest of one.
public protocol Shell: Sendable {
  /// The line to its agent.
  var agent: AgentLine { get }
}

extension Shell {
  /// Runs a shell script to its end, whatever its exit code.
  ///
  /// - Parameter timeout: how long it may take; the machine's ``AgentLine/patience`` when nil.
  /// - Throws: ``LabError`` when it does not end in time or the machine ends.
  public func outcome(
    _ script: String, in group: Guest.Group = .agent, timeout: Duration? = nil
  ) async throws -> Guest.Outcome {
    try await agent.outcome(script, in: group, timeout: timeout)
  }

  /// Runs a shell script which must succeed.
  ///
  /// - Returns: what it printed, without white space at the ends.
  @discardableResult
  public func run(
    _ script: String, in group: Guest.Group = .agent, timeout: Duration? = nil
  ) async throws -> String {
    let outcome = try await outcome(script, in: group, timeout: timeout)
    guard outcome.succeeded else {
      throw LabError(
        "‘\(script)’ in \(agent.name) ended with \(outcome.code): \(outcome.text)")
    }
    return outcome.text
  }

  /// Waits until a condition, a shell command, holds there.
  public func until(_ condition: String, timeout: Duration? = nil) async throws {
    try await run("until \(condition); do usleep 50000; done", timeout: timeout)
  }

  /// What its kernel thinks that programs could have without swapping.
  func available_kib() async throws -> Int {
    let text = try await run("awk '/^MemAvailable/ { print $2 }' /proc/meminfo")
    guard let available_kib = Int(text) else {
      throw LabError("MemAvailable is ‘\(text)’, no number")
    }
    return available_kib
  }

  /// All kernel messages up to now.
  public func kernelLog() async throws -> String { try await run("dmesg") }

  /// What a machine in which something has failed can tell: its kernel messages, with what each task that is blocked
  /// waits for; its queue pairs; its network; what a server in it has logged.
  func lastWords() async throws -> String {
    let script = """
      {
        echo w > /proc/sysrq-trigger
        dmesg
        /programs/bin/rdma resource show qp
        ip neigh
        cat /proc/net/dev
        grep virtio /proc/interrupts
        cat \(GuestServer.log)
      } 2>&1 | tail -c 60000
      """
    return try await outcome(script, timeout: .seconds(20)).output
  }

  /// Brings the network card up and waits for its carrier.
  public func linkUp() async throws {
    try await run("ip link set eth0 up")
    try await until("[ \"$(cat /sys/class/net/eth0/carrier 2>/dev/null)\" = 1 ]")
  }
}
