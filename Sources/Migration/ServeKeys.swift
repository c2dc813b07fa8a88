// SPDX-License-Identifier: Apache-2.0
import Processes

/// What dom0's memxd is to serve for a domain, and what it says of that.
struct ServeKeys {
  /// Where memxd says at which address it serves over a transport, by the module's name of that.
  static func server(_ transport: String) -> String {
    "/local/domain/0/memx/server/\(transport)"
  }

  private let store: Store
  let path: String

  init(_ store: Store, domain: Int) {
    self.store = store
    path = "/local/domain/0/memx/serve/\(domain)"
  }

  func state() throws(RunFailure) -> String? { try text("state") }

  func text(_ name: String) throws(RunFailure) -> String? { try store.read("\(path)/\(name)") }

  func number(_ name: String) throws(RunFailure) -> UInt64? {
    try text(name).flatMap { UInt64($0) }
  }

  /// Asks memxd to serve the domain's frames once the guest has published them.
  func ask(region: String, token: String) throws(RunFailure) {
    try store.remove(path)
    // memxd acts when both are there.
    try store.write("\(path)/token", token)
    try store.write("\(path)/region", region)
  }

  func remove() throws(RunFailure) { try store.remove(path) }
}
