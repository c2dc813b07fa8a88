// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// A short name for content, FNV-1a over 64 bits: enough to key a cache, not to keep secrets.
struct Fingerprint {
  private var state: UInt64 = 0xcbf2_9ce4_8422_2325

  /// Sixteen hexadecimal digits.
  var text: String {
    let digits = String(state, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  mutating func add(_ bytes: some Sequence<UInt8>) {
    for byte in bytes { state = (state ^ UInt64(byte)) &* 0x100_0000_01b3 }
    state = (state ^ 0xff) &* 0x100_0000_01b3
  }

  mutating func add(_ text: String) { add(text.utf8) }

  /// Adds the names and content of all files below `path` that `isSource` accepts.
  mutating func addTree(_ path: FilePath, isSource: (String) -> Bool = { _ in true }) throws {
    for name in Files.names(in: path) where !name.hasPrefix(".") {
      let child = path.appending(name)
      if Files.isDirectory(child) {
        add(name)
        try addTree(child, isSource: isSource)
      } else if isSource(name) {
        add(name)
        add(try Files.read(child))
      }
    }
  }
}
