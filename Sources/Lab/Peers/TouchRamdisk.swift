// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// The ramdisk with nothing but `tools/guest/touches.c`, linked statically, as init.
struct TouchRamdisk: Sendable {
  let cache: Cache
  let progress: Progress

  /// A compressed cpio archive, made when the program has changed.
  ///
  /// - Throws: ``LabError`` when the program does not build.
  func archive() async throws -> FilePath {
    let program = try await StaticPrograms(cache: cache, progress: progress).file(of: "touches")
    let key = program.removingLastComponent().lastComponent?.string ?? ""
    let entry = try await cache.entry("touches/\(key)") { directory in
      progress.note("ramdisk with touches: making")
      let tree = directory.appending("tree")
      try Files.makeDirectory(tree)
      try await Command.run(["cp", program.string, tree.appending("init").string])
      try await Command.run(
        [
          "sh", "-ec", "find . | cpio --quiet -o -H newc -R 0:0 | gzip -1 > \"$1\"", "sh",
          directory.appending("ramdisk.gz").string,
        ], in: tree)
      try await Command.run(["rm", "-rf", tree.string])
    }
    try await cache.prune("touches", keeping: [key])
    return entry.appending("ramdisk.gz")
  }
}
