// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization

/// Whether the person at the keyboard wants a measurement to end, with a report of what there is.
enum EarlyEnd {
  private static let wanted = Atomic<Bool>(false)

  static var isWanted: Bool { wanted.load(ordering: .relaxed) }

  /// From now on the first SIGINT or SIGTERM ends the measurement; the second, the program.
  static func begin() {
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { _ in
      EarlyEnd.wanted.store(true, ordering: .relaxed)
    }
    action.sa_flags = Int32(bitPattern: UInt32(SA_RESETHAND))
    for number in [SIGINT, SIGTERM] { sigaction(number, &action, nil) }
  }
}
