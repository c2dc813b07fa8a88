// SPDX-License-Identifier: Apache-2.0
import Processes

/// What a guest's module and dom0 tell each other: `data/memx` in the guest's home.
struct GuestKeys {
  private let store: Store
  /// The directory.
  let path: String

  /// The keys of the domain with number `domain`.
  init(_ store: Store, domain: Int) {
    self.store = store
    path = "/local/domain/\(domain)/data/memx"
  }

  /// What the module says of itself; nil when the guest has no pseudo-paging device.
  func state() throws(RunFailure) -> GuestState? { try text("state").map { GuestState($0) } }

  /// A number that the module has written; nil when it has not.
  func number(_ name: String) throws(RunFailure) -> UInt64? {
    try text(name).flatMap { UInt64($0) }
  }

  /// A text that the module has written; nil when it has not.
  func text(_ name: String) throws(RunFailure) -> String? { try store.read("\(path)/\(name)") }

  /// Tells the module something.
  func write(_ name: String, _ value: String) throws(RunFailure) {
    try store.write("\(path)/\(name)", value)
  }
}
