// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization

/// A thread of its own for a link: no executor, so no hop for each page.
public final class LinkThread: Sendable {
  private let body: @Sendable () -> Void
  private let handle = Mutex<pthread_t>(0)

  public init(_ body: @escaping @Sendable () -> Void) { self.body = body }

  /// It has all signals blocked: a handler of the program's may touch memory that only this thread can bring.
  ///
  /// - Throws: `LinkError` when the system has no thread for it.
  public func start() throws(LinkError) {
    let box = Unmanaged.passRetained(self)
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    let code = handle.withLock { handle in
      pthread_create(
        &handle, nil,
        { argument in
          let thread = Unmanaged<LinkThread>.fromOpaque(argument!).takeRetainedValue()
          thread.body()
          return nil
        }, box.toOpaque())
    }
    guard code == 0 else {
      box.release()
      throw LinkError("cannot start a thread: \(String(cString: strerror(code)))", code: code)
    }
  }

  /// Waits until it has ended; to be called once.
  public func join() {
    let handle = handle.withLock { $0 }
    pthread_join(handle, nil)
  }
}
