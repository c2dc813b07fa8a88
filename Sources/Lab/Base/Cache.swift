// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage

/// Where the lab keeps what is slow to make: kernels, modules, guest programs, ramdisks.
///
/// An entry is a directory that is filled under another name and renamed when it is whole, so a
/// run which is interrupted leaves nothing half-made behind under the entry's name.
public struct Cache: Sendable {
  /// The directory all entries are in.
  public let root: FilePath

  /// `$XDG_CACHE_HOME/memx`, else `~/.cache/memx`.
  public init() {
    if let base = getenv("XDG_CACHE_HOME").map({ String(cString: $0) }), !base.isEmpty {
      root = FilePath(base).appending("memx")
    } else {
      let home = getenv("HOME").map { String(cString: $0) } ?? "/root"
      root = FilePath(home).appending(".cache/memx")
    }
  }

  /// The directory of an entry, made by `fill` when it is not there.
  ///
  /// - Parameters:
  ///   - name: the entry, as a relative path.
  ///   - fill: gets an empty directory to fill.
  /// - Throws: what `fill` throws, or ``LabError`` for the file system's errors.
  public func entry(
    _ name: String, fill: @Sendable (FilePath) async throws -> Void
  ) async throws -> FilePath {
    let path = root.appending(name)
    if Files.exists(path) { return path }
    try Files.makeDirectory(path.removingLastComponent())
    let part = FilePath("\(path).\(getpid()).part")
    try await remove(part)
    try Files.makeDirectory(part)
    do {
      try await fill(part)
    } catch {
      try? await remove(part)
      throw error
    }
    // Another run may have made the same entry meanwhile: keep that one.
    if Files.exists(path) { try await remove(part) } else { try Files.rename(part, to: path) }
    return path
  }

  /// Removes entries below `directory` which are not `kept` and are older than a day, so that the
  /// cache does not grow; younger ones may be another run's, from another tree.
  public func prune(_ directory: String, keeping kept: Set<String>) async throws {
    let path = root.appending(directory)
    for name in Files.names(in: path) where !kept.contains(name) {
      try await Command.run([
        "find", path.appending(name).string, "-maxdepth", "0", "-mmin", "+1440", "-exec", "rm",
        "-rf", "--", "{}", ";",
      ])
    }
  }

  /// Removes everything.
  public func clear() async throws { try await remove(root) }

  private func remove(_ path: FilePath) async throws {
    if Files.exists(path) { try await Command.run(["rm", "-rf", "--", path.string]) }
  }
}
