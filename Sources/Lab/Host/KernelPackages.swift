// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage

/// Finds, fetches and unpacks the distribution's kernels. Nothing is ever installed.
public struct KernelPackages: Sendable {
  let cache: Cache
  let progress: Progress

  public init(cache: Cache, progress: Progress) {
    self.cache = cache
    self.progress = progress
  }

  /// The newest kernel of a series, from the cache when one is there.
  ///
  /// - Parameter refresh: ask the package index even if the cache has a kernel of the series.
  /// - Throws: ``LabError`` when the distribution has none or it cannot be fetched.
  public func kernel(_ series: KernelSeries, refresh: Bool = false) async throws -> Kernel {
    if !refresh, let release = try await newest(cached(series)) {
      return Kernel(
        series: series, release: release, root: cache.root.appending("kernels/\(release)"))
    }
    let release = try await newestRelease(series)
    progress.note("kernel \(release): fetching")
    let root = try await cache.entry("kernels/\(release)") { directory in
      try await unpack(release, into: directory)
    }
    return Kernel(series: series, release: release, root: root)
  }

  private func cached(_ series: KernelSeries) -> [String] {
    Files.names(in: cache.root.appending("kernels")).filter {
      series.isImage("linux-image-\($0)")
    }
  }

  private func newestRelease(_ series: KernelSeries) async throws -> String {
    for attempt in 0...1 {
      let names = try await Command.run(["apt-cache", "pkgnames", "linux-image-"])
      let releases = names.split(separator: "\n").map(String.init).filter(series.isImage)
        .map { String($0.dropFirst("linux-image-".count)) }
      if let release = try await newest(releases) {
        let known = try await fetchable(release)
        if known || attempt == 1 { return release }
      }
      if attempt == 0 {
        try await Command.run(["apt-get", "-q", "update"], timeout: .seconds(300))
      }
    }
    throw LabError(
      "the package index has no \(series) kernel for Debian 12",
      remedy: "check that bookworm and bookworm-security are in the apt sources")
  }

  /// Whether the index knows where the image is; old indexes list names only.
  private func fetchable(_ release: String) async throws -> Bool {
    try await Command.outcome(["apt-cache", "show", "linux-image-\(release)"]).succeeded
  }

  private func newest(_ releases: [String]) async throws -> String? {
    var best: String?
    for release in releases {
      guard let current = best else {
        best = release
        continue
      }
      let newer = try await Command.outcome(
        ["dpkg", "--compare-versions", release, "gt", current])
      if newer.succeeded { best = release }
    }
    return best
  }

  private func unpack(_ release: String, into directory: FilePath) async throws {
    var packages = ["linux-image-\(release)", "linux-headers-\(release)"]
    packages += try await headerParts(of: "linux-headers-\(release)")
    try await Packages.unpack(packages, into: directory)
    try pointInside(directory, release: release)
  }

  /// The packages that a headers package is made of: the common headers and the build tools.
  private func headerParts(of headers: String) async throws -> [String] {
    let depends = try await Command.run(["apt-cache", "depends", "--important", headers])
    return depends.split(separator: "\n").compactMap { line in
      guard let name = line.split(separator: "Depends:").dropFirst().first else { return nil }
      let package = name.drop(while: \.isWhitespace)
      let wanted = package.hasPrefix("linux-headers-") || package.hasPrefix("linux-kbuild-")
      return wanted ? String(package) : nil
    }
  }

  /// Makes the headers usable where they are: their makefile includes the common one by its
  /// installed path, and a vmlinux among them would have every module get type information, for
  /// which a tool is needed and nobody asks. The path stays relative to `make -C`, since the directory is renamed later.
  private func pointInside(_ directory: FilePath, release: String) throws {
    let headers = directory.appending("usr/src/linux-headers-\(release)")
    _ = unlink(headers.appending("vmlinux").string)
    let makefile = headers.appending("Makefile")
    let text = try Files.readText(makefile)
    let installed = "include /usr/src/"
    guard text.contains(installed) else {
      throw LabError("\(makefile) does not include the common headers: \(text)")
    }
    try Files.write(
      text.split(separator: "\n").map { line in
        line.hasPrefix(installed) ? "include ../" + line.dropFirst(installed.count) : line[...]
      }.joined(separator: "\n") + "\n", to: makefile)
  }
}
