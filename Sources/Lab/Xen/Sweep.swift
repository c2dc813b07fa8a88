// SPDX-License-Identifier: Apache-2.0

/// `tools/guest/sweep.c` in a guest: goes through memory over and over, and checks all of it at the end.
struct Sweep: Sendable {
  private static let input = "/run/sweep.in"
  private static let output = "/run/sweep.out"

  private let guest: XenGuest

  /// Starts it, and returns when it has filled its memory.
  ///
  /// - Parameter step_us: the least time from a page to the next.
  /// - Throws: ``LabError`` when there is no room for it, or it does not get there in time.
  static func start(
    on guest: XenGuest, _ access: XenMove.Access, size_mib: Int, step_us: Int
  ) async throws -> Sweep {
    try await guest.run(
      """
      rm -f \(input) \(output)
      mkfifo \(input)
      sweep \(access.rawValue) \(size_mib) \(step_us) <> \(input) > \(output) 2>&1 &
      """, in: .work)
    try await guest.until("grep -q filled \(output) || ! pidof sweep > /dev/null")
    let sweep = Sweep(guest: guest)
    guard try await sweep.lastLine() == "filled" else {
      throw LabError("sweep ended before the guest was moved: ‘\(try await sweep.lastLine())’")
    }
    return sweep
  }

  /// Has it check all of its memory and end.
  ///
  /// - Returns: the longest that it took for one page, in microseconds.
  /// - Throws: ``LabError`` when it has read anything else than it had written.
  func finish(timeout: Duration = .seconds(900)) async throws -> Int {
    try await guest.run(
      """
      echo 1<> \(Self.input)
      while pidof sweep > /dev/null; do usleep 50000; done
      """, timeout: timeout)
    let line = try await lastLine()
    do { return try Self.longest_us(line) } catch {
      let log = try await guest.run("dmesg")
      throw LabError("\(error); its kernel's log ended with:\n" + KernelLog.end(of: log))
    }
  }

  /// Reads what it says at its end.
  ///
  /// - Throws: ``LabError`` when that is not that its memory was right.
  static func longest_us(_ line: String) throws -> Int {
    let words = line.split(separator: " ")
    guard words.first == "verified",
      let longest = words.last?.split(separator: "="), longest.first == "longest_us",
      longest.count == 2, let longest_us = Int(longest[1])
    else { throw LabError("sweep in the moved guest ended with ‘\(line)’") }
    return longest_us
  }

  private func lastLine() async throws -> String {
    try await guest.run("tail -n 1 \(Self.output)")
  }
}
