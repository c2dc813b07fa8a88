// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage

/// Where the project's sources and built programs are.
public enum Repository {
  /// The top of the source tree this program was built from.
  public static var root: FilePath {
    if let given = getenv("MEMX_ROOT") { return FilePath(String(cString: given)) }
    var path = FilePath(#filePath)
    for _ in 0..<4 { path.removeLastComponent() }
    return path
  }

  /// A program of this package, built beside the running one.
  ///
  /// - Throws: ``LabError`` when it has not been built.
  public static func product(_ name: String) throws -> FilePath {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
    let own = FilePath(
      String(decoding: buffer.prefix(max(0, count)).map(UInt8.init(bitPattern:)), as: UTF8.self))
    for directory in [own.removingLastComponent(), root.appending(".build/release")] {
      let path = directory.appending(name)
      if Files.exists(path) { return path }
    }
    throw LabError("\(name) has not been built", remedy: "run ‘swift build -c release’")
  }
}
