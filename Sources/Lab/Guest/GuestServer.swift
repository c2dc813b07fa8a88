// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials

/// A memxd which runs in a guest.
struct GuestServer: Sendable {
  let guest: Guest
  private static let http = "127.0.0.1:9109"
  /// Where it logs.
  static let log = "/run/memxd.log"

  /// Starts it and waits until it is ready.
  ///
  /// - Parameter arguments: its command line.
  /// - Throws: ``LabError`` with its log when it does not get ready.
  static func start(_ arguments: String, in guest: Guest) async throws -> GuestServer {
    let outcome = try await guest.outcome(
      """
      memxd \(arguments) --http \(http) > \(log) 2>&1 &
      echo $! > /run/memxd.pid
      until grep -q ' ready ' \(log); do kill -0 $! || exit 1; usleep 50000; done
      """, in: .work, timeout: .seconds(180))
    guard outcome.succeeded else {
      throw LabError("memxd did not get ready: \(try await guest.run("cat \(log)"))")
    }
    return GuestServer(guest: guest)
  }

  /// What a scenario reads of the JSON status.
  struct Status: Decodable, Sendable {
    struct Link: Decodable, Sendable {
      let up: Bool
      let sessions: Int
      let cpu_us: Int
      let rx_bad: Int
      let connections_refused: Int
      let tx_written: Int
      let counters: [String: Int]
    }
    struct Region: Decodable, Sendable {
      struct Session: Decodable, Sendable {
        let client: String
        let link: String
      }
      let name: String
      let session: Session?
    }
    let links: [Link]
    let regions: [Region]
  }

  /// Frames of pushes that it has written to its clients' buffers, over RDMA.
  func writtenFrames() async throws -> Int {
    try await status().links.map(\.tx_written).reduce(0, +)
  }

  /// The JSON status.
  func status() async throws -> Status {
    let text = try await guest.run("wget -q -O - http://\(Self.http)/status")
    do {
      return try JSONDecoder().decode(Status.self, from: Data(text.utf8))
    } catch {
      throw LabError("memxd's status cannot be read: \(error): \(text)")
    }
  }

  /// The JSON status once no session is left: an engine tells its counters now and then, and when a session ends.
  func idleStatus() async throws -> Status {
    try await until(sessions: 0)
    return try await status()
  }

  /// Waits until so many sessions are open, those of all links together.
  func until(sessions: Int, timeout: Duration = .seconds(60)) async throws {
    try await until(metric: "memx_link_sessions", "n == \(sessions)", timeout: timeout)
  }

  /// Waits until a metric, that of all links together, is as wanted.
  ///
  /// - Parameter condition: awk's, on `n`.
  func until(
    metric: String, _ condition: String, timeout: Duration = .seconds(60)
  ) async throws {
    try await guest.until(
      "wget -q -O - http://\(Self.http)/metrics | awk '$1 ~ /^\(metric)[{]/ { n += $2; seen = 1 }"
        + " END { exit !(seen && \(condition)) }'", timeout: timeout)
  }

  /// The memory that it holds, that of its regions aside, in KiB.
  func memory_kib() async throws -> Int {
    let text = try await guest.run(
      "awk '/RssAnon/ { print $2 }' /proc/$(cat /run/memxd.pid)/status")
    guard let memory_kib = Int(text) else { throw LabError("memxd's memory is ‘\(text)’") }
    return memory_kib
  }

  /// Everything it has logged since it was started.
  func logText() async throws -> String { try await guest.run("cat \(Self.log)") }

  /// Waits until it has logged something.
  func until(logs text: String, timeout: Duration = .seconds(30)) async throws {
    try await guest.until("grep -q '\(text)' \(Self.log)", timeout: timeout)
  }

  /// Ends it in order.
  func stop() async throws { try await end(with: "TERM") }

  /// Kills it.
  func kill() async throws { try await end(with: "KILL") }

  private func end(with signal: String) async throws {
    try await guest.run(
      """
      pid=$(cat /run/memxd.pid)
      kill -\(signal) $pid
      while kill -0 $pid 2>/dev/null; do usleep 20000; done
      """)
  }
}
