// SPDX-License-Identifier: Apache-2.0
import CXen
import Glibc

/// A change that a watch has reported.
public struct XenStoreEvent: Equatable, Sendable {
  /// What has changed: the watched path or one below it; of a special watch (`@releaseDomain`) its name.
  public let path: String
  /// What `watch` was given.
  public let token: String

  public init(path: String, token: String) {
    self.path = path
    self.token = token
  }
}

/// What memx needs of XenStore, the small tree of texts that the domains of a host share.
///
/// Paths are absolute (`/local/domain/1/data/memx`) or begin at the home of the domain that the program runs in.
/// Every call waits for the store's daemon, which answers at once unless it is gone.
public protocol XenStoreConnection: AnyObject, Sendable {
  /// The text at a path; nil when there is none.
  func read(_ path: String) throws(XenError) -> String?
  /// Sets the text at a path, whose parents are made when they are missing.
  func write(_ path: String, _ value: String) throws(XenError)
  /// The names right below a path, in no order; nil when there is no such path.
  func list(_ path: String) throws(XenError) -> [String]?
  /// Removes a path and all below it, if it is there.
  func remove(_ path: String) throws(XenError)
  /// Makes a path without a text; leaves one that is there as it is.
  func makeDirectory(_ path: String) throws(XenError)
  /// Has changes of a path, and of all below it, reported. One event comes at once. `@releaseDomain` reports
  /// every domain that has gone or shut down.
  ///
  /// - Parameter token: comes back with each event.
  func watch(_ path: String, token: String) throws(XenError)
  /// Ends a watch.
  func unwatch(_ path: String, token: String) throws(XenError)
  /// Readable (`poll(2)`) when `nextEvent` may have something to say.
  var eventDescriptor: Int32 { get }
  /// The next change, nil when there is none now. Ask until nil before waiting for `eventDescriptor` again.
  func nextEvent() throws(XenError) -> XenStoreEvent?
  /// Is there a domain of that number, running, paused or shut down?
  func isIntroduced(domain: Int) throws(XenError) -> Bool
}

/// A store that can make several changes as one.
public protocol TransactionalXenStore: XenStoreConnection {
  /// Sets all of the texts if, at that moment, there is `text` at `path`; so nothing is written below a directory
  /// that somebody has just removed, which would make it anew.
  ///
  /// - Parameter values: texts by their paths.
  /// - Returns: whether it was so, and they were set.
  func write(_ values: [String: String], if path: String, is text: String) throws(XenError) -> Bool
}

/// A connection to the store's daemon, over its socket or, in a guest, over the kernel's device.
///
/// Threads may share one, and wait for one another; what one of them watches any of them may be told.
public final class XenStore: TransactionalXenStore, @unchecked Sendable {
  // Invariant behind @unchecked: the properties are constant, and the library locks what it shares.
  private let library: memx_xenstore
  private let handle: UnsafeMutableRawPointer
  public let eventDescriptor: Int32

  /// - Throws: ``XenError`` when the library is missing, or there is no store: not a Xen system, or no
  ///   permission.
  public init() throws(XenError) {
    var library = memx_xenstore()
    if let failure = memx_xenstore_load(&library) {
      throw XenError(
        "cannot use XenStore",
        reason: "\(String(cString: failure)); install the package libxenstore4")
    }
    guard let handle = library.open(0) else {
      let code = errno
      throw XenError(
        "cannot open XenStore",
        reason: "\(String(cString: strerror(code))); this needs root in a domain of a Xen host"
          + " (in dom0 with xenstored running)")
    }
    self.library = library
    self.handle = handle
    eventDescriptor = library.fileno(handle)
  }

  deinit { library.close(handle) }

  public func read(_ path: String) throws(XenError) -> String? { try read(path, in: 0) }

  private func read(_ path: String, in transaction: UInt32) throws(XenError) -> String? {
    var length: UInt32 = 0
    guard let value = library.read(handle, transaction, path, &length) else {
      return try absent("read", path)
    }
    defer { free(value) }
    return String(
      decoding: UnsafeRawBufferPointer(start: value, count: Int(length)), as: UTF8.self)
  }

  public func write(_ path: String, _ value: String) throws(XenError) {
    try write(path, value, in: 0)
  }

  private func write(
    _ path: String, _ value: String, in transaction: UInt32
  ) throws(XenError) {
    guard library.write(handle, transaction, path, value, UInt32(value.utf8.count)) else {
      throw failure("write", path)
    }
  }

  public func write(
    _ values: [String: String], if path: String, is text: String
  ) throws(XenError) -> Bool {
    while true {
      let transaction = library.transaction_start(handle)
      guard transaction != 0 else { throw failure("begin a transaction for", path) }
      do throws(XenError) {
        guard try read(path, in: transaction) == text else {
          _ = library.transaction_end(handle, transaction, true)
          return false
        }
        for (path, value) in values { try write(path, value, in: transaction) }
      } catch {
        _ = library.transaction_end(handle, transaction, true)
        throw error
      }
      if library.transaction_end(handle, transaction, false) { return true }
      // Somebody has changed what was read or written: once more.
      guard errno == EAGAIN else { throw failure("end a transaction for", path) }
    }
  }

  public func list(_ path: String) throws(XenError) -> [String]? {
    var count: UInt32 = 0
    guard let names = library.directory(handle, 0, path, &count) else {
      return try absent("list", path)
    }
    defer { free(names) }
    return (0..<Int(count)).map { String(cString: names[$0]!) }
  }

  public func remove(_ path: String) throws(XenError) {
    guard !library.rm(handle, 0, path) else { return }
    let _: Never? = try absent("remove", path)
  }

  public func makeDirectory(_ path: String) throws(XenError) {
    guard library.mkdir(handle, 0, path) else { throw failure("make", path) }
  }

  public func watch(_ path: String, token: String) throws(XenError) {
    guard library.watch(handle, path, token) else { throw failure("watch", path) }
  }

  public func unwatch(_ path: String, token: String) throws(XenError) {
    guard library.unwatch(handle, path, token) else { throw failure("end the watch of", path) }
  }

  public func nextEvent() throws(XenError) -> XenStoreEvent? {
    guard let event = library.check_watch(handle) else {
      let code = errno
      guard code == EAGAIN else { throw XenError("cannot take XenStore's events", code: code) }
      return nil
    }
    defer { free(event) }
    return XenStoreEvent(path: String(cString: event[0]!), token: String(cString: event[1]!))
  }

  public func isIntroduced(domain: Int) throws(XenError) -> Bool {
    errno = 0
    if library.is_domain_introduced(handle, UInt32(domain)) { return true }
    let code = errno
    guard code == 0 else {
      throw XenError("cannot ask XenStore for domain \(domain)", code: code)
    }
    return false
  }

  /// nil for a path that is not there; any other failure is thrown.
  private func absent<T>(_ verb: String, _ path: String) throws(XenError) -> T? {
    let error = failure(verb, path)
    guard error.code == ENOENT else { throw error }
    return nil
  }

  private func failure(_ verb: String, _ path: String) -> XenError {
    XenError("cannot \(verb) \(path) in XenStore", code: errno)
  }
}
