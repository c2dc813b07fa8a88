// SPDX-License-Identifier: Apache-2.0
import CMemx
import Glibc
import Links
import Logging
import Synchronization

/// What an engine's thread and those who want something of it share: the word to stop, what wakes it, and what it has
/// done.
final class EngineControl: Sendable {
  /// How long to wait before a link that is gone is looked for again.
  private static var reopen_ms: Int32 { 900 }

  /// An eventfd that ends the thread's sleep; readable until ``takeWake()``.
  let wakeDescriptor: Int32
  private let stopping = Atomic<Bool>(false)
  private let report = Mutex(EngineReport())

  init() throws(ConfigurationError) {
    wakeDescriptor = memx_wake_open()
    guard wakeDescriptor >= 0 else { throw ConfigurationError("cannot make an eventfd") }
  }

  deinit { close(wakeDescriptor) }

  // MARK: From any thread

  /// What the engine has done, as it last published it.
  var current: EngineReport { report.withLock { $0 } }

  /// Has the thread end; it closes its sessions first.
  func stop() {
    stopping.store(true, ordering: .releasing)
    wake()
  }

  /// Has the thread look at once whether a region is to be given back.
  func wake() { memx_wake(wakeDescriptor) }

  // MARK: From the engine's thread

  var isStopping: Bool { stopping.load(ordering: .acquiring) }

  /// To be called before the thread looks at what it was woken for: a descriptor that is left readable ends every
  /// sleep to come.
  func takeWake() { memx_wake_take(wakeDescriptor) }

  func publish(_ state: inout EngineReport) {
    state.heartbeat += 1
    state.cpu_us = threadCPU_us()
    let published = state
    report.withLock { $0 = published }
  }

  /// Opens a link that is gone, trying once a second; nil when ``stop()`` was called first.
  func reopen<Link: ~Copyable>(
    _ state: inout EngineReport, logger: Logger, open: () throws -> Link
  ) -> Link? {
    var lastFailure: String?
    while !isStopping {
      do {
        let link = try open()
        state.isUp = true
        return link
      } catch {
        let failure = "\(error)"
        if failure != lastFailure {
          logger.warning("trying once a second", metadata: ["reason": "\(failure)"])
        }
        lastFailure = failure
      }
      state.isUp = false
      publish(&state)
      var descriptor = pollfd(fd: wakeDescriptor, events: Int16(POLLIN), revents: 0)
      if poll(&descriptor, 1, Self.reopen_ms) > 0 { takeWake() }
    }
    return nil
  }
}
