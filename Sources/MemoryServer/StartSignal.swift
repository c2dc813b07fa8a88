// SPDX-License-Identifier: Apache-2.0
import Glibc

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
