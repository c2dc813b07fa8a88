// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// This package's own programs as guests run them: linked statically against the Swift libraries, and
/// stripped.
struct SwiftPrograms: Sendable {
  let cache: Cache
  let progress: Progress

  /// The file of a program, built when its sources have changed.
  ///
  /// - Throws: ``LabError`` with the compiler's messages when it does not build.
  func file(of name: String) async throws -> FilePath {
    let key = try await fingerprint(of: name)
    let place = "programs/\(name)"
    let entry = try await cache.entry("\(place)/\(key)") { directory in
      progress.note("\(name) for guests: building")
      let scratch = Repository.root.appending(".build-guest")
      let made = try await Command.outcome(
        [
          "swift", "build", "-c", "release", "--static-swift-stdlib", "--product", name,
          "--scratch-path", scratch.string,
          // One memx-bench runs for each process of a workload, in guests of a few dozen megabytes;
          // at a fixed address the loader has nothing to write into, which saves half its memory.
          "-Xlinker", "-no-pie",
        ], in: Repository.root, timeout: .seconds(900))
      guard made.succeeded else {
        throw LabError("\(name) does not build for guests:\n\(made.tail(lines: 30))")
      }
      try await Command.run([
        "strip", "-o", directory.appending(name).string,
        scratch.appending("release").appending(name).string,
      ])
    }
    try await cache.prune(place, keeping: [key])
    return entry.appending(name)
  }

  private func fingerprint(of name: String) async throws -> String {
    var fingerprint = Fingerprint()
    let sources = Repository.root.appending("Sources")
    // The lab itself runs in no guest.
    for part in Files.names(in: sources) where !["Lab", "memx-lab"].contains(part) {
      fingerprint.add(part)
      try addSources(sources.appending(part), to: &fingerprint)
    }
    try addSources(Repository.root.appending("kmod"), to: &fingerprint)
    fingerprint.add(try Files.read(Repository.root.appending("Package.swift")))
    fingerprint.add(try await Command.run(["swift", "--version"]))
    return fingerprint.text
  }

  private func addSources(_ path: FilePath, to fingerprint: inout Fingerprint) throws {
    try fingerprint.addTree(path) { name in
      name.hasSuffix(".swift") || name.hasSuffix(".c") || name.hasSuffix(".h")
    }
  }
}
