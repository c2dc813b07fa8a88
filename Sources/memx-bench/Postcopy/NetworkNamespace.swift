// SPDX-License-Identifier: Apache-2.0
import CMemx
import Console
import Glibc

/// A network namespace without a name: it goes with its last process and this object, however they end.
final class NetworkNamespace {
  private let descriptor: Int32

  /// Makes one and moves the calling thread into it.
  init() throws(PostcopyFailure) {
    descriptor = memx_network_new()
    guard descriptor >= 0 else {
      throw PostcopyFailure("cannot make a network namespace: \(SystemError()): run as root")
    }
  }

  deinit { close(descriptor) }

  /// How `ip` is told of it; valid as long as this object is.
  var path: String { "/proc/\(getpid())/fd/\(descriptor)" }

  /// Moves the calling thread into it: sockets that it opens and processes that it starts are there.
  func enter() throws(PostcopyFailure) {
    guard memx_network_enter(descriptor) == 0 else {
      throw PostcopyFailure("cannot enter a network namespace: \(SystemError())")
    }
  }
}
