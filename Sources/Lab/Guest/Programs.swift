// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// The disk image with the programs that guests run.
///
/// A disk rather than a part of the ramdisk: the programs' pages can then be reclaimed like any
/// other machine's, and booting does not have to unpack them.
struct Programs: Sendable {
  /// Programs of this package, linked statically against the Swift libraries.
  static let swift = ["memx-bench", "memxctl"]
  /// Programs of the distribution.
  static let host = ["tc", "ip", "sort", "stress-ng", "nbd-client", "openssl", "base64"]

  let cache: Cache
  let progress: Progress

  /// An ext4 image, made when a program has changed.
  ///
  /// - Throws: ``LabError`` when a program does not build or is not installed.
  func image() async throws -> FilePath {
    var paths: [FilePath] = []
    for name in Self.host { paths.append(try await find(name)) }
    let swiftPrograms = try await built()
    var fingerprint = Fingerprint()
    fingerprint.add(swiftPrograms.lastComponent?.string ?? "")
    for path in paths {
      fingerprint.add(path.string)
      fingerprint.add(try await Command.run(["stat", "-Lc", "%s %Y", path.string]))
    }
    let key = fingerprint.text
    let found = paths
    let entry = try await cache.entry("disks/\(key)") { directory in
      progress.note("disk with guest programs: making")
      let tree = directory.appending("tree")
      try await fill(tree, with: found + Self.swift.map { swiftPrograms.appending($0) })
      let size_kib = try await Command.run(["du", "-sk", tree.string]).split(separator: "\t")[0]
      try await Command.run([
        "mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", tree.string,
        directory.appending("programs.img").string, "\((Int(size_kib) ?? 0) * 5 / 4 + 8192)k",
      ])
      try await Command.run(["rm", "-rf", tree.string])
    }
    try await cache.prune("disks", keeping: [key])
    return entry.appending("programs.img")
  }

  /// The directory with the package's own programs, stripped.
  private func built() async throws -> FilePath {
    var fingerprint = Fingerprint()
    for part in ["Sources", "kmod"] {
      try fingerprint.addTree(Repository.root.appending(part)) { name in
        name.hasSuffix(".swift") || name.hasSuffix(".c") || name.hasSuffix(".h")
      }
    }
    fingerprint.add(try Files.read(Repository.root.appending("Package.swift")))
    fingerprint.add(try await Command.run(["swift", "--version"]))
    let key = fingerprint.text
    let entry = try await cache.entry("programs/\(key)") { directory in
      for name in Self.swift {
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
    }
    try await cache.prune("programs", keeping: [key])
    return entry
  }

  private func fill(_ tree: FilePath, with programs: [FilePath]) async throws {
    for directory in ["bin", "lib/x86_64-linux-gnu", "lib64", "usr/lib"] {
      try Files.makeDirectory(tree.appending(directory))
    }
    var libraries: Set<String> = []
    for program in programs {
      let target = tree.appending("bin").appending(program.lastComponent?.string ?? "")
      try await Command.run(["cp", "-L", program.string, target.string])
      libraries.formUnion(try await needed(by: program))
    }
    for library in libraries.sorted() {
      let directory = library.hasPrefix("/lib64/") ? "lib64" : "lib/x86_64-linux-gnu"
      try await Command.run(["cp", "-L", library, tree.appending(directory).string + "/"])
    }
  }

  /// The files of the shared libraries a program needs.
  private func needed(by program: FilePath) async throws -> [String] {
    let listing = try await Command.run(["ldd", program.string])
    guard !listing.contains("not found") else {
      throw LabError("\(program) lacks libraries:\n\(listing)", remedy: "run tools/setup")
    }
    return listing.split(separator: "\n").compactMap { line in
      line.split(whereSeparator: \.isWhitespace).first { $0.hasPrefix("/") }.map(String.init)
    }
  }

  private func find(_ name: String) async throws -> FilePath {
    for directory in ["/usr/bin", "/usr/sbin", "/bin", "/sbin"] {
      let path = FilePath(directory).appending(name)
      if Files.exists(path) { return path }
    }
    throw LabError("\(name) is not installed", remedy: "run tools/setup")
  }
}
