// SPDX-License-Identifier: Apache-2.0

/// XenStore as a migration uses it. Paths are absolute.
public protocol XenKeys {
  /// The value at `path`; nil when there is none.
  func read(_ path: String) throws(RunFailure) -> String?
  /// Sets the value at `path`, and makes the directories above it.
  func write(_ path: String, _ value: String) throws(RunFailure)
  /// Removes `path` and all below it; one that is not there is no error.
  func remove(_ path: String) throws(RunFailure)
  /// From now on ``descriptor`` is readable when something at or below `path` changes.
  func watch(_ path: String) throws(RunFailure)
  /// For `poll(2)`; -1 when there is none.
  var descriptor: Int32 { get }
  /// Takes in what changed, so that ``descriptor`` is not readable any more.
  func takeChanges() throws(RunFailure)
}

/// What a guest's module and dom0 tell each other: `data/memx` in the guest's home.
public struct GuestKeys<Keys: XenKeys> {
  private let keys: Keys
  /// The directory.
  let path: String

  /// The keys of the domain with number `domain`.
  public init(_ keys: Keys, domain: Int) {
    self.keys = keys
    path = "/local/domain/\(domain)/data/memx"
  }

  /// What the module says of itself; nil when the guest has no pseudo-paging device.
  public func state() throws(RunFailure) -> GuestState? {
    try keys.read("\(path)/state").map { GuestState($0) }
  }

  /// A number that the module has written; nil when it has not.
  public func number(_ name: String) throws(RunFailure) -> UInt64? {
    try keys.read("\(path)/\(name)").flatMap { UInt64($0) }
  }

  /// A text that the module has written; nil when it has not.
  public func text(_ name: String) throws(RunFailure) -> String? {
    try keys.read("\(path)/\(name)")
  }

  /// Tells the module something.
  func write(_ name: String, _ value: String) throws(RunFailure) {
    try keys.write("\(path)/\(name)", value)
  }
}

/// What dom0's memxd is to serve for a domain, and what it says of that.
struct ServeKeys<Keys: XenKeys> {
  /// Where memxd says at which address it serves.
  static var server: String { "/local/domain/0/memx/server" }

  private let keys: Keys
  let path: String

  init(_ keys: Keys, domain: Int) {
    self.keys = keys
    path = "/local/domain/0/memx/serve/\(domain)"
  }

  func state() throws(RunFailure) -> String? { try keys.read("\(path)/state") }

  func text(_ name: String) throws(RunFailure) -> String? { try keys.read("\(path)/\(name)") }

  func number(_ name: String) throws(RunFailure) -> UInt64? {
    try text(name).flatMap { UInt64($0) }
  }

  /// Asks memxd to serve the domain's frames once the guest has published them.
  func ask(region: String, token: String) throws(RunFailure) {
    try keys.remove(path)
    try keys.write("\(path)/token", token)
    try keys.write("\(path)/region", region)
  }

  func remove() throws(RunFailure) { try keys.remove(path) }
}
