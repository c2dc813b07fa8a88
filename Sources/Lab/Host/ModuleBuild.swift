// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// Builds memx.ko for the unpacked kernels.
public struct ModuleBuild: Sendable {
  let cache: Cache
  let progress: Progress

  public init(cache: Cache, progress: Progress) {
    self.cache = cache
    self.progress = progress
  }

  /// Where the module's sources are.
  public static var sources: FilePath { Repository.root.appending("kmod") }

  /// memx.ko for `kernel`, built when its sources have changed.
  ///
  /// - Throws: ``LabError`` with the compiler's messages when it does not build.
  public func module(for kernel: Kernel) async throws -> FilePath {
    let key = try fingerprint()
    let directory = try await cache.entry("modules/\(kernel.release)/\(key)") { directory in
      progress.note("memx.ko for \(kernel.release): building")
      let made = try await make(for: kernel, in: directory, flags: [])
      guard made.succeeded else {
        throw LabError("memx.ko does not build for \(kernel.release):\n\(made.tail(lines: 40))")
      }
    }
    try await cache.prune("modules/\(kernel.release)", keeping: [key])
    return directory.appending("memx.ko")
  }

  /// What the compiler, with extra warnings, and sparse say about the module.
  ///
  /// - Returns: the lines that are warnings or errors; empty when the module is clean.
  /// - Throws: ``LabError`` when the build cannot be run or fails without saying why.
  public func complaints(for kernel: Kernel) async throws -> [String] {
    let directory = FilePath(
      try await Command.run(["mktemp", "-d", "-t", "memx-check.XXXXXX"]))
    let made: Command.Outcome
    do {
      made = try await make(
        for: kernel, in: directory,
        flags: ["W=1", "C=2", "CF=-D__CHECK_ENDIAN__", "CHECK=sparse"])
    } catch {
      try await Command.run(["rm", "-rf", directory.string])
      throw error
    }
    try await Command.run(["rm", "-rf", directory.string])
    let lines = made.output.split(separator: "\n").map(String.init)
    let complaints = lines.filter { line in
      ["warning:", "error:", "WARNING", "ERROR", "***"].contains { line.contains($0) }
        && !line.contains("Skipping BTF generation")
    }
    guard made.succeeded || !complaints.isEmpty else {
      throw LabError("the check of memx.ko for \(kernel.release) failed:\n\(made.tail())")
    }
    return complaints
  }

  private func make(
    for kernel: Kernel, in directory: FilePath, flags: [String]
  ) async throws -> Command.Outcome {
    try await Command.run(["cp", "-R", "\(Self.sources)/.", directory.string])
    try await Command.run(
      ["find", directory.string, "-name", "*.o", "-delete", "-o", "-name", "*.cmd", "-delete"])
    return try await Command.outcome(
      ["make", "-C", kernel.headers.string, "M=\(directory)"] + flags + ["modules"],
      environment: ["LC_ALL": "C"], timeout: .seconds(180))
  }

  private func fingerprint() throws -> String {
    var fingerprint = Fingerprint()
    try fingerprint.addTree(Self.sources) { name in
      name.hasSuffix(".c") || name.hasSuffix(".h") || name == "Kbuild" || name == "Makefile"
    }
    return fingerprint.text
  }
}
