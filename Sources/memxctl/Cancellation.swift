// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization

/// Whether the person at the keyboard wants a migration to stop.
enum Cancellation {
  private static let wanted = Atomic<Bool>(false)

  static var isWanted: Bool { wanted.load(ordering: .relaxed) }

  /// From now on SIGINT and SIGTERM cancel, instead of ending the program with the guest half moved.
  static func begin() {
    signal(SIGPIPE, SIG_IGN)
    for number in [SIGINT, SIGTERM] {
      signal(number) { _ in Cancellation.wanted.store(true, ordering: .relaxed) }
    }
  }
}
