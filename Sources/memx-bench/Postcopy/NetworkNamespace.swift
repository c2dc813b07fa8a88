// SPDX-License-Identifier: Apache-2.0
import CMemx
import Console
import Glibc
import Processes

/// A network namespace without a name: it goes with its last process and this object, however they end.
final class NetworkNamespace {
  private let descriptor: Int32

  /// Makes one and moves the calling thread into it.
  init() throws(RunFailure) {
    descriptor = memx_network_new()
    guard descriptor >= 0 else {
      throw RunFailure("cannot make a network namespace: \(SystemError()): run as root")
    }
  }

  deinit { close(descriptor) }

  /// How `ip` is told of it; valid as long as this object is.
  var path: String { "/proc/\(getpid())/fd/\(descriptor)" }

  /// Moves the calling thread into it: sockets that it opens and processes that it starts are there.
  func enter() throws(RunFailure) {
    guard memx_network_enter(descriptor) == 0 else {
      throw RunFailure("cannot enter a network namespace: \(SystemError())")
    }
  }
}
