// SPDX-License-Identifier: Apache-2.0

/// Xen's own way to move a guest with the same means: `xl save`, a connection, `xl restore`. The guest
/// stands still from before its first page is sent until its last has come.
struct StopAndCopy: Sendable {
  private static let port = 6000

  /// How long the tools took altogether.
  let total_ms: Double

  /// Moves a guest.
  ///
  /// - Throws: ``LabError`` when one side fails or takes too long.
  static func move(
    _ domain: String, from source: XenHost, to target: XenHost, timeout: Duration = .seconds(300)
  ) async throws -> StopAndCopy {
    // The connection must not end with the listener's empty input.
    async let restored = target.run(
      """
      set -o pipefail
      [ -e /run/silence ] || mkfifo /run/silence
      nc -l -p \(port) <> /run/silence | xl restore /proc/self/fd/0
      """, timeout: timeout)
    try await target.until("netstat -ltn | grep -q :\(port)", timeout: .seconds(20))
    let start = ContinuousClock.now
    try await source.run(
      """
      set -o pipefail
      xl save \(domain) /proc/self/fd/1 | nc \(target.machine.address) \(port)
      """, timeout: timeout)
    _ = try await restored
    return StopAndCopy(total_ms: (ContinuousClock.now - start) / .milliseconds(1))
  }
}
