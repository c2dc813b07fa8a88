// SPDX-License-Identifier: Apache-2.0
import Glibc

/// CPU time of this process and of a server on the same machine.
struct CPUUse {
  var client_us: Double
  /// nil when no server's process id is known.
  var server_us: Double?

  init(serverPid: Int32?) {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    client_us =
      Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6
      + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec)
    server_us = serverPid.flatMap(Self.processTime_us)
  }

  private init(client_us: Double, server_us: Double?) {
    self.client_us = client_us
    self.server_us = server_us
  }

  func since(_ earlier: CPUUse) -> CPUUse {
    CPUUse(
      client_us: client_us - earlier.client_us,
      server_us: server_us.flatMap { now in earlier.server_us.map { now - $0 } })
  }

  /// User and system time of another process, from fields 14 and 15 of /proc/PID/stat.
  private static func processTime_us(_ pid: Int32) -> Double? {
    guard let file = fopen("/proc/\(pid)/stat", "r") else { return nil }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1024)
    let count = fread(&bytes, 1, bytes.count, file)
    let text = String(decoding: bytes[..<count], as: UTF8.self)
    guard let name = text.lastIndex(of: ")") else { return nil }
    let fields = text[text.index(after: name)...].split(separator: " ")
    guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12])
    else { return nil }
    return (user + system) * 1e6 / Double(sysconf(Int32(_SC_CLK_TCK)))
  }
}
