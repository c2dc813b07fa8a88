// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import SystemPackage

/// A guest's second serial port: two pipes, `NAME.in` towards the guest and `NAME.out` from it.
struct GuestLine: Sendable {
  /// What `-chardev pipe` takes as its path.
  let path: FilePath

  /// Makes the pipes.
  init(_ path: FilePath) async throws {
    self.path = path
    try await Command.run(["mkfifo", "\(path).in", "\(path).out"])
  }

  /// Sends one byte.
  func poke() throws {
    let pipe = try open("in")
    _ = try pipe.closeAfter { try pipe.writeAll("!".utf8) }
  }

  /// Waits for the guest's next line.
  ///
  /// The guest writes its lines whole and not often, so nothing is read past a line's end.
  ///
  /// - Throws: ``LabError`` when none comes in time.
  func line(_ what: String, timeout: Duration) async throws -> String {
    let pipe = try open("out")
    defer { try? pipe.close() }
    return try await within(timeout, what) {
      var bytes: [UInt8] = []
      while true {
        do {
          var byte: UInt8 = 0
          while try withUnsafeMutableBytes(of: &byte, { try pipe.read(into: $0) }) == 1 {
            if byte == UInt8(ascii: "\n") { return String(decoding: bytes, as: UTF8.self) }
            bytes.append(byte)
          }
        } catch Errno.wouldBlock, Errno.interrupted {
          try await Task.sleep(for: .milliseconds(5))
        }
      }
    }
  }

  /// Open at both ends, so that neither side ever waits for the other to open its own.
  private func open(_ end: String) throws -> FileDescriptor {
    try FileDescriptor.open(
      FilePath("\(path).\(end)"), .readWrite, options: [.nonBlocking, .closeOnExec])
  }
}
