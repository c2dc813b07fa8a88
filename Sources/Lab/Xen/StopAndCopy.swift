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
    // xl opens its input once more by name, which works for a pipe, not for a connection.
    try await target.serve(
      port, "sh -c 'cat | xl restore /proc/self/fd/0 >&2 && echo restored'", log: "/run/restore.log"
    )
    let start = ContinuousClock.now
    try await source.run(
      """
      set -o pipefail
      xl save \(domain) /proc/self/fd/1 | wire call \(target.machine.address) \(port) | grep restored
      """, timeout: timeout)
    return StopAndCopy(total_ms: (ContinuousClock.now - start) / .milliseconds(1))
  }
}
