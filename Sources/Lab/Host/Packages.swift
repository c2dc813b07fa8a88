// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// The distribution's packages, fetched and unpacked. Nothing is ever installed.
enum Packages {
  /// Fetches packages and unpacks them below `directory`.
  ///
  /// - Throws: ``LabError`` when one cannot be fetched.
  static func unpack(_ names: [String], into directory: FilePath) async throws {
    let download = directory.appending("download")
    try Files.makeDirectory(download)
    try await Command.run(["chmod", "777", download.string])
    let fetched = try await Command.outcome(
      ["apt-get", "-q", "download"] + names, in: download, timeout: .seconds(600))
    guard fetched.succeeded else {
      throw LabError(
        "cannot fetch \(names.joined(separator: ", ")):\n\(fetched.tail())",
        remedy: "run ‘apt-get update’ and try again")
    }
    for package in Files.names(in: download) where package.hasSuffix(".deb") {
      try await Command.run(["dpkg", "-x", download.appending(package).string, directory.string])
    }
    try await Command.run(["rm", "-rf", download.string])
  }

  /// Makes sure that the index knows a package, fetching the index when it does not.
  ///
  /// - Throws: ``LabError`` when the distribution does not have it.
  static func know(_ name: String) async throws {
    for attempt in 0...1 {
      if try await Command.outcome(["apt-cache", "show", name]).succeeded { return }
      if attempt == 0 {
        try await Command.run(["apt-get", "-q", "update"], timeout: .seconds(300))
      }
    }
    throw LabError(
      "the package index has no \(name)",
      remedy: "check that bookworm and bookworm-security are in the apt sources")
  }
}
