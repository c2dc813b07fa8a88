// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage

/// The few file operations that the lab needs.
enum Files {
  /// Opens a file for appending, creating it.
  static func appending(to path: FilePath) throws -> FileDescriptor {
    do {
      return try FileDescriptor.open(
        path, .writeOnly, options: [.create, .append, .closeOnExec],
        permissions: [.ownerReadWrite, .groupRead, .otherRead])
    } catch {
      throw LabError("cannot open \(path): \(error)")
    }
  }

  static func read(_ path: FilePath) throws -> [UInt8] {
    do {
      let file = try FileDescriptor.open(path, .readOnly, options: [.closeOnExec])
      return try file.closeAfter {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 18)
        while true {
          let count = try chunk.withUnsafeMutableBytes { try file.read(into: $0) }
          if count == 0 { return bytes }
          bytes += chunk[..<count]
        }
      }
    } catch {
      throw LabError("cannot read \(path): \(error)")
    }
  }

  static func readText(_ path: FilePath) throws -> String {
    String(decoding: try read(path), as: UTF8.self)
  }

  /// Writes a file so that a reader sees the old content or the new, never a part.
  static func write(_ text: String, to path: FilePath, executable: Bool = false) throws {
    try write(text.utf8, to: path, executable: executable)
  }

  /// Writes a file so that a reader sees the old content or the new, never a part.
  static func write(
    _ bytes: some Sequence<UInt8>, to path: FilePath, executable: Bool = false
  ) throws {
    let part = FilePath("\(path).\(getpid()).part")
    do {
      let file = try FileDescriptor.open(
        part, .writeOnly, options: [.create, .truncate, .closeOnExec],
        permissions: executable
          ? FilePermissions(rawValue: 0o755) : FilePermissions(rawValue: 0o644)
      )
      _ = try file.closeAfter { try file.writeAll(bytes) }
    } catch {
      throw LabError("cannot write \(path): \(error)")
    }
    try rename(part, to: path)
  }

  static func rename(_ from: FilePath, to: FilePath) throws {
    guard Glibc.rename(from.string, to.string) == 0 else {
      throw LabError("cannot rename \(from) to \(to): \(Errno(rawValue: errno))")
    }
  }

  static func exists(_ path: FilePath) -> Bool { access(path.string, F_OK) == 0 }

  static func makeDirectory(_ path: FilePath) throws {
    if exists(path) { return }
    let parent = path.removingLastComponent()
    if !parent.isEmpty, parent != path { try makeDirectory(parent) }
    guard mkdir(path.string, 0o755) == 0 || errno == EEXIST else {
      throw LabError("cannot make the directory \(path): \(Errno(rawValue: errno))")
    }
  }

  /// The names in a directory, sorted; none when it cannot be read.
  static func names(in directory: FilePath) -> [String] {
    guard let handle = opendir(directory.string) else { return [] }
    defer { closedir(handle) }
    var names: [String] = []
    while let entry = readdir(handle) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  static func isDirectory(_ path: FilePath) -> Bool {
    var status = stat()
    return stat(path.string, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }
}
