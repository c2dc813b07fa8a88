// SPDX-License-Identifier: Apache-2.0
import Dispatch
import Glibc
import SystemPackage

/// Where a service says that it is ready, as systemd would listen.
final class NotifySocket: Sendable {
  let path: FilePath
  private let descriptor: Int32

  init(_ path: FilePath) throws {
    self.path = path
    descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.string.utf8)
    guard descriptor >= 0, bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
      throw LabError("cannot make the socket \(path): \(Errno(rawValue: errno))")
    }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    unlink(path.string)
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard bound == 0 else {
      throw LabError("cannot bind the socket \(path): \(Errno(rawValue: errno))")
    }
  }

  deinit {
    close(descriptor)
    unlink(path.string)
  }

  /// Waits for READY=1.
  ///
  /// - Returns: false when it did not come in time, or `given up` answers true before.
  func ready(within timeout_s: Int, givenUp: @escaping @Sendable () -> Bool) async -> Bool {
    await withCheckedContinuation { continuation in
      DispatchQueue.global().async {
        var buffer = [UInt8](repeating: 0, count: 4096)
        var poll = pollfd(fd: self.descriptor, events: Int16(POLLIN), revents: 0)
        let end = ContinuousClock.now + .seconds(timeout_s)
        while ContinuousClock.now < end && !givenUp() {
          guard Glibc.poll(&poll, 1, 200) > 0 else { continue }
          let count = recv(self.descriptor, &buffer, buffer.count, 0)
          let text = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
          if text.split(separator: "\n").contains("READY=1") {
            return continuation.resume(returning: true)
          }
        }
        continuation.resume(returning: false)
      }
    }
  }
}
