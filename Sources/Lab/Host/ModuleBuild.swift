// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// Builds a module for the unpacked kernels.
public struct ModuleBuild: Sendable {
  let source: ModuleSource
  let cache: Cache
  let progress: Progress

  public init(_ source: ModuleSource, cache: Cache, progress: Progress) {
    self.source = source
    self.cache = cache
    self.progress = progress
  }

  /// The modules for `kernel`, built when their sources have changed.
  ///
  /// - Parameter withRDMA: whether to give also what is only for guests with RDMA.
  /// - Throws: ``LabError`` with the compiler's messages when it does not build.
  public func modules(for kernel: Kernel, withRDMA: Bool) async throws -> [FilePath] {
    let key = try fingerprint()
    let directory = try await cache.entry("\(place(kernel))/\(key)") { directory in
      progress.note("\(source.file) for \(kernel.release): building")
      let made = try await make(for: kernel, in: directory, flags: [])
      guard made.succeeded else {
        let end = made.tail(lines: 40)
        throw LabError("\(source.file) does not build for \(kernel.release):\n\(end)")
      }
    }
    try await cache.prune(place(kernel), keeping: [key])
    let files = [source.file] + (withRDMA ? [source.rdmaFile].compactMap { $0 } : [])
    return files.map { directory.appending($0) }
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
      throw LabError("the check of \(source.file) for \(kernel.release) failed:\n\(made.tail())")
    }
    return complaints
  }

  private func place(_ kernel: Kernel) -> String { "modules/\(kernel.release)/\(source.rawValue)" }

  private func make(
    for kernel: Kernel, in directory: FilePath, flags: [String]
  ) async throws -> Command.Outcome {
    try await Command.run(["cp", "-R", "\(source.directory)/.", directory.string])
    try await Command.run(
      ["find", directory.string, "-name", "*.o", "-delete", "-o", "-name", "*.cmd", "-delete"])
    return try await Command.outcome(
      ["make", "-C", kernel.headers.string, "M=\(directory)"] + flags + ["modules"],
      environment: ["LC_ALL": "C"], timeout: .seconds(180))
  }

  private func fingerprint() throws -> String {
    var fingerprint = Fingerprint()
    try fingerprint.addTree(source.directory) { name in
      name.hasSuffix(".c") || name.hasSuffix(".h") || name == "Kbuild" || name == "Makefile"
    }
    return fingerprint.text
  }
}
