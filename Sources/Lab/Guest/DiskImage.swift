// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// Disks for machines, read-only there.
enum DiskImage {
  /// Makes an ext4 image with what is below `tree`.
  static func make(of tree: FilePath, at image: FilePath) async throws {
    let size_kib = try await Command.run(["du", "-sk", tree.string]).split(separator: "\t")[0]
    try await Command.run([
      "mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", tree.string,
      image.string, "\((Int(size_kib) ?? 0) * 5 / 4 + 8192)k",
    ])
  }
}
