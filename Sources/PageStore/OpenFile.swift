// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage

/// A file that is open as long as this lives.
struct OpenFile: ~Copyable {
  let descriptor: FileDescriptor

  /// Opens a file for reading and writing, made if it is not there; never through a symbolic link.
  init(_ path: FilePath) throws {
    do {
      descriptor = try FileDescriptor.open(
        path, .readWrite, options: [.create, .closeOnExec, .noFollow], permissions: .ownerReadWrite)
    } catch { throw StoreError("cannot open \(path): \(error)") }
  }

  /// Locks the file against other users; false when one has it.
  func lock() -> Bool { flock(descriptor.rawValue, LOCK_EX | LOCK_NB) == 0 }

  deinit {
    // A child process on its way to exec may hold the file open for a moment more.
    flock(descriptor.rawValue, LOCK_UN)
    try? descriptor.close()
  }
}
