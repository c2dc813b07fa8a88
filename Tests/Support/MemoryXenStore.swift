// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Xen

/// A XenStore in memory, with watches, for one connection.
package final class MemoryXenStore: TransactionalXenStore {
  fileprivate struct State {
    var values: [String: String] = [:]
    var watches: [(path: String, token: String)] = []
    var events: [XenStoreEvent] = []
    var domains: Set<Int> = []
    var isBroken = false
    var writes: [String] = []
  }

  private let state = Mutex(State())
  package let eventDescriptor: Int32
  private let eventWriter: Int32

  package init() {
    var pair: [Int32] = [-1, -1]
    precondition(pipe(&pair) == 0)
    (eventDescriptor, eventWriter) = (pair[0], pair[1])
  }

  deinit {
    close(eventDescriptor)
    close(eventWriter)
  }

  // MARK: What others do

  package subscript(path: String) -> String? { state.withLock { $0.values[path] } }

  /// Everything at and below a path, by what follows it.
  package func tree(_ path: String) -> [String: String] {
    state.withLock { state in
      var below: [String: String] = [:]
      for (key, value) in state.values where key == path || key.hasPrefix(path + "/") {
        below[String(key.dropFirst(path.count))] = value
      }
      return below
    }
  }

  /// Paths that the connection has written so far.
  package var writes: [String] { state.withLock { $0.writes } }

  package func introduce(_ domain: Int) { state.withLock { _ = $0.domains.insert(domain) } }

  /// A domain is gone, and its home.
  package func release(_ domain: Int) {
    state.withLock { _ = $0.domains.remove(domain) }
    erase("/local/domain/\(domain)")
    fire("@releaseDomain")
  }

  package func put(_ path: String, _ value: String) {
    state.withLock { $0.set(path, value) }
    fire(path)
  }

  package func erase(_ path: String) {
    state.withLock { state in
      for key in state.values.keys where key == path || key.hasPrefix(path + "/") {
        state.values[key] = nil
      }
    }
    fire(path, removed: true)
  }

  /// Has every call fail from now on.
  package func breakOff() {
    state.withLock { $0.isBroken = true }
    notify()
  }

  /// - Parameter removed: also tells those who watch what is below.
  private func fire(_ path: String, removed: Bool = false) {
    let count = state.withLock { state in
      let before = state.events.count
      for watch in state.watches {
        if path == watch.path || path.hasPrefix(watch.path + "/") {
          state.events.append(XenStoreEvent(path: path, token: watch.token))
        } else if removed, watch.path.hasPrefix(path + "/") {
          state.events.append(XenStoreEvent(path: watch.path, token: watch.token))
        }
      }
      return state.events.count - before
    }
    for _ in 0..<count { notify() }
  }

  private func notify() { _ = Glibc.write(eventWriter, [UInt8(1)], 1) }

  // MARK: The connection

  private func whole<T>(
    _ body: (inout sending State) -> sending T
  ) throws(XenError) -> sending T {
    guard !state.withLock({ $0.isBroken }) else {
      throw XenError("cannot use the store", code: EBADF)
    }
    return state.withLock(body)
  }

  package func read(_ path: String) throws(XenError) -> String? {
    try whole { $0.values[path] }
  }

  package func write(_ path: String, _ value: String) throws(XenError) {
    try whole {
      $0.set(path, value)
      $0.writes.append(path)
    }
    fire(path)
  }

  package func write(
    _ values: [String: String], if path: String, is text: String
  ) throws(XenError) -> Bool {
    let isSo = try whole { state in
      guard state.values[path] == text else { return false }
      for (path, value) in values {
        state.set(path, value)
        state.writes.append(path)
      }
      return true
    }
    if isSo { for path in values.keys { fire(path) } }
    return isSo
  }

  package func list(_ path: String) throws(XenError) -> [String]? {
    try whole { state in
      guard state.values.keys.contains(where: { $0 == path || $0.hasPrefix(path + "/") }) else {
        return nil
      }
      let names = state.values.keys.filter { $0.hasPrefix(path + "/") }
        .map { String($0.dropFirst(path.count + 1).prefix { $0 != "/" }) }
      return Array(Set(names))
    }
  }

  package func remove(_ path: String) throws(XenError) {
    _ = try whole { _ in true }
    erase(path)
  }

  package func makeDirectory(_ path: String) throws(XenError) { try write(path, "") }

  package func watch(_ path: String, token: String) throws(XenError) {
    try whole { state in
      state.watches.append((path, token))
      state.events.append(XenStoreEvent(path: path, token: token))
    }
    notify()
  }

  package func unwatch(_ path: String, token: String) throws(XenError) {
    let isThere = try whole { state in
      let before = state.watches.count
      state.watches.removeAll { $0 == (path, token) }
      return state.watches.count < before
    }
    guard isThere else { throw XenError("cannot end the watch of \(path)", code: ENOENT) }
  }

  package func nextEvent() throws(XenError) -> XenStoreEvent? {
    let event = try whole { $0.events.isEmpty ? nil : $0.events.removeFirst() }
    if event != nil {
      var byte: UInt8 = 0
      _ = Glibc.read(eventDescriptor, &byte, 1)
    }
    return event
  }

  package func isIntroduced(domain: Int) throws(XenError) -> Bool {
    try whole { $0.domains.contains(domain) }
  }
}

extension MemoryXenStore.State {
  /// Like the store, makes what is above.
  fileprivate mutating func set(_ path: String, _ value: String) {
    values[path] = value
    var above = path[...]
    while let slash = above.lastIndex(of: "/"), slash > above.startIndex {
      above = above[..<slash]
      if values[String(above)] == nil { values[String(above)] = "" }
    }
  }
}
