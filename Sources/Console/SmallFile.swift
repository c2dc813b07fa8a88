// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The text of the file at `path`, read without asking for its size first: files of sysfs and
/// procfs have none. At most 1 MiB is read.
///
/// - Throws: ``SystemError`` as `open` and `read` give it.
public func readSmallFile(_ path: String) throws(SystemError) -> String {
  let descriptor = open(path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { throw SystemError() }
  defer { close(descriptor) }
  var bytes: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 4096)
  while bytes.count < 1 << 20 {
    let count = read(descriptor, &chunk, chunk.count)
    if count < 0 {
      if errno == EINTR { continue }
      throw SystemError()
    }
    if count == 0 { break }
    bytes += chunk[..<count]
  }
  return String(decoding: bytes, as: UTF8.self)
}

/// Writes `text` to the file at `path` in one `write`, as a sysfs attribute wants it.
///
/// - Throws: ``SystemError`` as `open` and `write` give it; `EINTR` is not tried again, because the
///   person at the keyboard may have sent the signal.
public func writeSmallFile(_ path: String, _ text: String) throws(SystemError) {
  let descriptor = open(path, O_WRONLY | O_CLOEXEC)
  guard descriptor >= 0 else { throw SystemError() }
  defer { close(descriptor) }
  let count = text.utf8.count
  guard write(descriptor, text, count) == count else { throw SystemError() }
}

/// The names in the directory at `path`, without `.` and `..`, sorted.
///
/// - Throws: ``SystemError`` as `opendir` gives it.
public func directoryEntries(_ path: String) throws(SystemError) -> [String] {
  guard let directory = opendir(path) else { throw SystemError() }
  defer { closedir(directory) }
  var names: [String] = []
  while let entry = readdir(directory) {
    let name = withUnsafePointer(to: &entry.pointee.d_name) {
      $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    if name != ".", name != ".." { names.append(name) }
  }
  return names.sorted()
}
