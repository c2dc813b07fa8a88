// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// The hypervisor and its tools, unpacked.
public struct XenPackages: Sendable {
  /// The version, a part of packages' names and of paths in them.
  static let version = "4.17"

  let cache: Cache
  let progress: Progress

  /// The hypervisor and its tools, fetched when the cache does not have them.
  ///
  /// - Throws: ``LabError`` when the distribution has none or they cannot be fetched.
  func xen() async throws -> Xen {
    let root = try await cache.entry("xen/\(Self.version)") { directory in
      progress.note("Xen \(Self.version): fetching")
      let hypervisor = "xen-hypervisor-\(Self.version)-amd64"
      try await Packages.know(hypervisor)
      try await Packages.unpack(
        [hypervisor, "xen-utils-\(Self.version)", "xen-utils-common", "xenstore-utils"]
          + libraries(of: "libxenmisc\(Self.version)"), into: directory)
      let image = directory.appending("boot/xen-\(Self.version)-amd64").string
      try await Command.run(["gunzip", "\(image).gz"])
    }
    return Xen(root: root)
  }

  /// The package and the libraries it needs, save for those that every program has.
  private func libraries(of package: String) async throws -> [String] {
    let listing = try await Command.run([
      "apt-cache", "depends", "--recurse", "--important", package,
    ])
    let names = listing.split(separator: "\n").map(String.init).filter {
      ($0.hasPrefix("lib") || $0.hasPrefix("zlib")) && $0 != "libc6" && !$0.hasPrefix("libgcc")
    }
    return Set(names).sorted()
  }
}

/// An unpacked Xen.
struct Xen: Sendable {
  /// The directory that the packages were unpacked in.
  let root: FilePath

  /// Where the tools lie, below ``root`` and in dom0.
  static let tools = "usr/lib/xen-\(XenPackages.version)/bin"

  /// The hypervisor's image.
  var image: FilePath { root.appending("boot/xen-\(XenPackages.version)-amd64") }

  /// Where the tools' libraries lie.
  var libraries: [FilePath] {
    ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"].map { root.appending($0) }
  }
}
