// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// The small programs of `tools/guest`, one C file each, linked statically.
struct StaticPrograms: Sendable {
  private static let compiler = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-s"]

  let cache: Cache
  let progress: Progress

  /// The file of a program, built when its source has changed.
  ///
  /// - Throws: ``LabError`` with the compiler's messages when it does not build.
  func file(of name: String) async throws -> FilePath {
    let source = Repository.root.appending("tools/guest/\(name).c")
    var fingerprint = Fingerprint()
    fingerprint.add(try Files.read(source))
    fingerprint.add(Self.compiler.joined(separator: " "))
    let key = fingerprint.text
    let place = "programs/\(name)"
    let entry = try await cache.entry("\(place)/\(key)") { directory in
      progress.note("\(name) for guests: building")
      try await Command.run(
        Self.compiler + ["-o", directory.appending(name).string, source.string])
    }
    try await cache.prune(place, keeping: [key])
    return entry.appending(name)
  }
}
