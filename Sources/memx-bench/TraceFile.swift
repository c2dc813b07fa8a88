// SPDX-License-Identifier: Apache-2.0
import Console
import Glibc
import Processes
import Workloads

/// Reads a trace file.
func readTrace(_ path: String) throws -> PageTrace {
  let descriptor = open(path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { throw RunFailure("cannot read \(path): \(SystemError())") }
  defer { close(descriptor) }
  var bytes: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 1 << 16)
  while bytes.count <= PageTrace.bytesMax {
    let count = read(descriptor, &chunk, chunk.count)
    if count < 0, errno == EINTR { continue }
    guard count >= 0 else { throw RunFailure("cannot read \(path): \(SystemError())") }
    if count == 0 { break }
    bytes += chunk[..<count]
  }
  do { return try PageTrace(bytes) } catch { throw RunFailure("\(path): \(error)") }
}
