// SPDX-License-Identifier: Apache-2.0
import Processes
import Xen

/// XenStore as a migration uses it: what goes wrong there ends the migration with a sentence.
struct Store {
  private static let token = "memxctl"
  let connection: any XenStoreConnection

  private func asRun<Value>(
    _ body: () throws(XenError) -> Value
  ) throws(RunFailure) -> Value {
    do throws(XenError) { return try body() } catch { throw RunFailure(error.description) }
  }

  func read(_ path: String) throws(RunFailure) -> String? {
    try asRun { () throws(XenError) in try connection.read(path) }
  }

  func write(_ path: String, _ value: String) throws(RunFailure) {
    try asRun { () throws(XenError) in try connection.write(path, value) }
  }

  func remove(_ path: String) throws(RunFailure) {
    try asRun { () throws(XenError) in try connection.remove(path) }
  }

  func exists(_ domain: Int) throws(RunFailure) -> Bool {
    try asRun { () throws(XenError) in try connection.isIntroduced(domain: domain) }
  }

  /// From now on ``wait(timeout_ms:)`` ends early when something changes at or below `path`.
  func watch(_ path: String) throws(RunFailure) {
    try asRun { () throws(XenError) in try connection.watch(path, token: Self.token) }
  }

  /// For `poll(2)`; readable until ``takeChanges()``.
  var descriptor: Int32 { connection.eventDescriptor }

  func takeChanges() throws(RunFailure) {
    try asRun { () throws(XenError) in while try connection.nextEvent() != nil {} }
  }
}
