// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// The disk image with the programs that machines run.
///
/// A disk rather than a part of the ramdisk: the programs' pages can then be reclaimed like any
/// other machine's, and booting does not have to unpack them.
struct Programs: Sendable {
  let set: ProgramSet
  let cache: Cache
  let progress: Progress

  /// An ext4 image, made when a program has changed.
  ///
  /// - Throws: ``LabError`` when a program does not build or is not installed.
  func image() async throws -> FilePath {
    var files = set.files
    for name in set.host { files.append(try await find(name)) }
    for name in set.products {
      files.append(.init(source: try Repository.product(name), target: "bin/\(name)"))
    }
    let swift = SwiftPrograms(cache: cache, progress: progress)
    for name in set.swift {
      files.append(.init(source: try await swift.file(of: name), target: "bin/\(name)"))
    }
    let small = StaticPrograms(cache: cache, progress: progress)
    for name in set.small {
      files.append(.init(source: try await small.file(of: name), target: "bin/\(name)"))
    }
    var fingerprint = Fingerprint()
    for file in files {
      fingerprint.add(file.target)
      fingerprint.add(try await Command.run(["stat", "-Lc", "%n %s %Y", file.source.string]))
    }
    for (target, text) in set.texts.sorted(by: { $0.key < $1.key }) {
      fingerprint.add(target)
      fingerprint.add(text)
    }
    let key = fingerprint.text
    let found = files
    let entry = try await cache.entry("disks/\(key)") { directory in
      progress.note("disk with guest programs: making")
      let tree = directory.appending("tree")
      try await fill(tree, with: found)
      try await DiskImage.make(of: tree, at: directory.appending("programs.img"))
      try await Command.run(["rm", "-rf", tree.string])
    }
    try await cache.prune("disks", keeping: [key])
    return entry.appending("programs.img")
  }

  private func fill(_ tree: FilePath, with files: [ProgramSet.File]) async throws {
    for directory in ["bin", "lib/x86_64-linux-gnu", "lib64", "usr/lib", "etc"] {
      try Files.makeDirectory(tree.appending(directory))
    }
    // What threads are ended with, loaded only when one ends.
    var libraries: Set<String> = ["/lib/x86_64-linux-gnu/libgcc_s.so.1"]
    for file in files {
      let target = tree.appending(file.target)
      try Files.makeDirectory(target.removingLastComponent())
      try await Command.run(["cp", "-L", file.source.string, target.string])
      libraries.formUnion(try await needed(by: file.source))
    }
    for library in libraries.sorted() {
      let directory = library.hasPrefix("/lib64/") ? "lib64" : "lib/x86_64-linux-gnu"
      try await Command.run(["cp", "-L", library, tree.appending(directory).string + "/"])
    }
    for (target, text) in set.texts {
      let path = tree.appending(target)
      try Files.makeDirectory(path.removingLastComponent())
      try Files.write(text, to: path, executable: true)
    }
  }

  /// The files of the shared libraries a program needs.
  private func needed(by program: FilePath) async throws -> [String] {
    let listing = try await Command.outcome(
      ["ldd", program.string],
      environment: set.libraries.isEmpty
        ? [:] : ["LD_LIBRARY_PATH": set.libraries.map(\.string).joined(separator: ":")])
    if listing.output.contains("not a dynamic executable") { return [] }
    guard listing.succeeded, !listing.output.contains("not found") else {
      throw LabError("\(program) lacks libraries:\n\(listing.output)", remedy: "run tools/setup")
    }
    return listing.output.split(separator: "\n").compactMap { line in
      line.split(whereSeparator: \.isWhitespace).first { $0.hasPrefix("/") }.map(String.init)
    }
  }

  private func find(_ name: String) async throws -> ProgramSet.File {
    for directory in ["/usr/bin", "/usr/sbin", "/bin", "/sbin"] {
      let path = FilePath(directory).appending(name)
      if Files.exists(path) { return .init(source: path, target: "bin/\(name)") }
    }
    throw LabError("\(name) is not installed", remedy: "run tools/setup")
  }
}
