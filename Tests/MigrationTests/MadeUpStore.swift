// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Xen

/// A XenStore in memory, and what the other side would do when something is written.
final class MadeUpStore: XenStoreConnection {
  private let values = Mutex<[String: String]>([:])
  /// Called after each write, with the store and what was written.
  private let reaction: @Sendable (MadeUpStore, String, String) -> Void
  /// Never readable: waits end by their timeout.
  let eventDescriptor: Int32 = -1

  init(
    _ values: [String: String], reaction: @escaping @Sendable (MadeUpStore, String, String) -> Void
  ) {
    self.reaction = reaction
    self.values.withLock { $0 = values }
  }

  subscript(_ path: String) -> String? { values.withLock { $0[path] } }

  /// Sets a value as the other side.
  func put(_ path: String, _ value: String) { values.withLock { $0[path] = value } }

  func read(_ path: String) throws(XenError) -> String? { self[path] }

  func write(_ path: String, _ value: String) throws(XenError) {
    put(path, value)
    reaction(self, path, value)
  }

  func list(_ path: String) throws(XenError) -> [String]? {
    let names = values.withLock { $0.keys.filter { $0.hasPrefix(path + "/") } }
    return names.map { String($0.dropFirst(path.count + 1).prefix { $0 != "/" }) }
  }

  func remove(_ path: String) throws(XenError) {
    values.withLock { values in
      for key in values.keys where key == path || key.hasPrefix(path + "/") { values[key] = nil }
    }
  }

  func makeDirectory(_ path: String) throws(XenError) { put(path, "") }
  func watch(_ path: String, token: String) throws(XenError) {}
  func unwatch(_ path: String, token: String) throws(XenError) {}
  func nextEvent() throws(XenError) -> XenStoreEvent? { nil }
  func isIntroduced(domain: Int) throws(XenError) -> Bool {
    self["/local/domain/\(domain)/domid"] != nil
  }
}
