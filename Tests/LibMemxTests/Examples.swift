// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestSupport

/// The programs of tools/examples, compiled as anybody would who has never heard of Swift.
final class Examples: Sendable {
  private let directory: TemporaryDirectory

  /// - Parameter compiler: `cc` or `clang`.
  init(compiler: String) throws {
    directory = try TemporaryDirectory()
    let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let build = URL(filePath: try MemxdProcess.path()).deletingLastPathComponent().path
    try run(
      "\(root)/tools/libmemx", "--from", "\(build)/libmemx.a", "\(directory.path)/installed")
    for name in ["touch", "serve", "monitor"] {
      try run(
        "sh", "-c",
        """
        PKG_CONFIG_PATH='\(directory.path)/installed/lib/pkgconfig'; export PKG_CONFIG_PATH
        exec \(compiler) -std=gnu11 -O2 -Wall -Wextra -Werror \
          -o '\(directory.path)/\(name)' '\(root)/tools/examples/\(name).c' \
          $(pkg-config --cflags --libs memx)
        """)
    }
  }

  /// A path for a socket.
  var socket: String { directory.path + "/socket" }

  /// Starts one.
  ///
  /// - Parameter namespace: of the network it sees; nil for the tests'.
  func start(_ name: String, _ arguments: [String], in namespace: String? = nil) throws -> Running {
    let prefix = namespace.map { ["ip", "netns", "exec", $0] } ?? []
    return try Running(prefix + ["\(directory.path)/\(name)"] + arguments)
  }

  /// A program that runs; killed with this object when it still does.
  final class Running {
    private let process = Process()
    private let output = Pipe()
    private let errors = Pipe()

    init(_ words: [String]) throws {
      process.executableURL = URL(filePath: "/usr/bin/env")
      process.arguments = words
      process.standardOutput = output
      process.standardError = errors
      try process.run()
    }

    deinit {
      if process.isRunning { kill(process.processIdentifier, SIGKILL) }
      process.waitUntilExit()
    }

    var isRunning: Bool { process.isRunning }

    /// Waits for its end, and tells the exit status, or minus the signal that ended it.
    func end() -> (status: Int32, output: String, errors: String) {
      let text = output.fileHandleForReading.readDataToEndOfFile()
      let complaint = errors.fileHandleForReading.readDataToEndOfFile()
      process.waitUntilExit()
      let status = process.terminationStatus
      return (
        process.terminationReason == .exit ? status : -status,
        String(decoding: text, as: UTF8.self),
        String(decoding: complaint, as: UTF8.self)
      )
    }
  }
}

/// The number on the line of an example's output that begins with `name`.
func figure(_ name: String, in output: String) -> UInt64? {
  output.split(separator: "\n").first { $0.hasPrefix(name + " ") }
    .flatMap { UInt64($0.dropFirst(name.count + 1)) }
}
