// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization

/// A thread of its own for an engine: no executor, so no hop for each page.
final class EngineThread: Sendable {
  private let body: @Sendable () -> Void
  private let handle = Mutex<pthread_t>(0)

  init(_ body: @escaping @Sendable () -> Void) { self.body = body }

  func start() throws {
    let box = Unmanaged.passRetained(self)
    let code = handle.withLock { handle in
      pthread_create(
        &handle, nil,
        { argument in
          let thread = Unmanaged<EngineThread>.fromOpaque(argument!).takeRetainedValue()
          thread.body()
          return nil
        }, box.toOpaque())
    }
    guard code == 0 else {
      box.release()
      throw ConfigurationError("cannot start a thread: \(String(cString: strerror(code)))")
    }
  }

  func join() {
    let handle = handle.withLock { $0 }
    pthread_join(handle, nil)
  }
}

/// Tells one thread, once, how another's start went.
final class StartSignal: @unchecked Sendable {
  // Invariant behind @unchecked: `isSettled` and `failure` are only touched with `mutex` held.
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var isSettled = false
  private var failure: (any Error)?

  init() {
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(condition, nil)
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  /// Tells the outcome: nil when all is well.
  func settle(_ error: (any Error)?) {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    isSettled = true
    failure = error
    pthread_cond_broadcast(condition)
  }

  func wait() -> (any Error)? {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while !isSettled { pthread_cond_wait(condition, mutex) }
    return failure
  }
}
