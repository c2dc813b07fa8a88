// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc

/// A container whose first process is systemd; its files are this machine's under a layer of its own,
/// which is gone with this object.
package final class SystemdContainer {
  /// Its network.
  private let network: TestNetwork
  private let directory: TemporaryDirectory
  private let nspawn = Process()
  private var root: String { directory.path + "/root" }

  /// Prepares the files; `boot` starts it.
  ///
  /// - Parameter network: the server's side is the container's.
  package init(_ network: TestNetwork) throws {
    self.network = network
    directory = try TemporaryDirectory()
    try run("mount", "-t", "tmpfs", "memx", directory.path)
    for name in ["upper", "work", "root"] { try run("mkdir", "\(directory.path)/\(name)") }
    try run(
      "mount", "-t", "overlay", "memx", "-o",
      "lowerdir=/,upperdir=\(directory.path)/upper,workdir=\(directory.path)/work", root)
    // Nothing that this machine starts or mounts.
    try run("rm", "-rf", root + "/etc/systemd/system", root + "/var/log/journal")
    try write("", to: "/etc/fstab")
    try write("", to: "/etc/machine-id")
  }

  deinit {
    // Its first process takes all others with it; systemd-nspawn, killed first, would leave it running.
    if let leader { kill(leader, SIGKILL) } else if nspawn.isRunning { nspawn.terminate() }
    if nspawn.isRunning { nspawn.waitUntilExit() }
    try? run("umount", root)
    try? run("umount", directory.path)
  }

  /// The container's first process as this machine numbers it; nil before it is there.
  private var leader: pid_t? {
    guard nspawn.isRunning else { return nil }
    let pid = nspawn.processIdentifier
    let children = try? String(contentsOfFile: "/proc/\(pid)/task/\(pid)/children", encoding: .utf8)
    return children?.split(separator: " ").first.flatMap { pid_t($0) }
  }

  /// Writes a file, for root's eyes only unless said otherwise.
  package func write(_ text: String, to path: String, mode: mode_t = 0o600) throws {
    let file = URL(fileURLWithPath: root + path)
    try FileManager.default.createDirectory(
      at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(text.utf8).write(to: file)
    guard chmod(file.path, mode) == 0 else { throw TestFailure("cannot chmod \(path)") }
  }

  /// Installs a program, and the libraries it needs that are not in the system's directories.
  package func install(_ program: String, to path: String) throws {
    try run("install", program, root + path)
    for line in try output("ldd", program).split(separator: "\n") {
      guard let library = line.split(separator: " ").first(where: { $0.hasPrefix("/") }),
        !library.hasPrefix("/lib"), !library.hasPrefix("/usr/lib")
      else { continue }
      try run("cp", "-L", String(library), root + "/usr/lib/x86_64-linux-gnu/")
    }
  }

  /// Starts systemd, which starts `units`.
  package func boot(_ units: String) throws {
    try write(
      "[Unit]\nRequires=basic.target\nWants=\(units)\nAfter=basic.target \(units)\n",
      to: "/etc/systemd/system/test.target")
    nspawn.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    nspawn.arguments = [
      // What the machine itself has at /sys/fs/cgroup may be older.
      "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1", "systemd-nspawn", "--quiet", "--register=no",
      "--keep-unit", "--machine=\(network.server)", "--directory=\(root)",
      "--network-namespace-path=/run/netns/\(network.server)",
      "--capability=CAP_NET_ADMIN,CAP_IPC_LOCK", "--console=read-only", "--boot",
      "systemd.unit=test.target",
    ]
    nspawn.standardInput = FileHandle.nullDevice
    nspawn.standardOutput = FileHandle.nullDevice
    nspawn.standardError = FileHandle.nullDevice
    try nspawn.run()
  }

  /// Runs a command in the container.
  ///
  /// - Returns: what it printed, whatever its exit status; nothing before systemd runs.
  package func inside(_ words: String...) throws -> String {
    guard let leader else { return "" }
    return try output(["nsenter", "--target", "\(leader)", "--all"] + words)
  }

  /// Asks systemd for a unit's property.
  package func property(_ name: String, of unit: String) throws -> String {
    try inside("systemctl", "show", "--property", name, "--value", unit)
      .trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// What a unit has written to the journal.
  package func journal(of unit: String) throws -> String {
    try inside("journalctl", "--unit", unit, "--output", "cat", "--no-pager")
  }

  private func output(_ words: String...) throws -> String { try output(words) }

  private func output(_ words: [String]) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = words
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return text
  }
}
