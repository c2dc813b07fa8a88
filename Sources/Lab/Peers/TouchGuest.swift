// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage

/// One of the two QEMUs between which a guest that runs `touches` is moved.
final class TouchGuest: Sendable {
  /// What the guest is made of; the same on both sides.
  struct Machine: Sendable {
    let kernel: Kernel
    let accelerator: Accelerator
    let ramdisk: FilePath
    let pattern: TouchPattern
    /// The memory it touches, in MiB.
    let area_mib: Int
    /// The least time from one touch to the next, in µs.
    let step_us: Int

    /// The guest's memory, in MiB: the area, what a kernel keeps for it and free, and the kernel.
    var memory_mib: Int { area_mib + area_mib / 8 + 96 }

    /// QEMU's command line: one processor, no disk, no network card, QMP on standard input and
    /// output, the console on one serial port and ``GuestLine`` on the other.
    ///
    /// The kernel clears what it frees, so that QEMU can send it as empty.
    func commandLine(directory: FilePath, line: GuestLine, incoming: Bool) -> [String] {
      let words = [
        "console=ttyS0", "loglevel=5", "panic=-1", "mitigations=off", "init_on_free=1", "--",
        pattern.rawValue, "\(area_mib)", "\(step_us)",
      ]
      return [
        "qemu-system-x86_64", "-machine", "q35", "-accel", accelerator.rawValue, "-cpu", "max",
        "-smp", "1", "-m", "\(memory_mib)", "-nodefaults", "-display", "none", "-no-reboot",
        "-kernel", kernel.image.string, "-initrd", ramdisk.string,
        "-append", words.joined(separator: " "),
        "-serial", "file:\(directory.appending("console.log"))",
        "-chardev", "pipe,id=line,path=\(line.path)", "-serial", "chardev:line",
        "-chardev", "stdio,id=qmp,signal=off", "-mon", "chardev=qmp,mode=control",
      ] + (incoming ? ["-incoming", "defer"] : [])
    }
  }

  let qmp: QMP
  let line: GuestLine
  private let child: Child
  private let directory: FilePath

  private init(qmp: QMP, line: GuestLine, child: Child, directory: FilePath) {
    self.qmp = qmp
    self.line = line
    self.child = child
    self.directory = directory
  }

  /// Runs `body` with a QEMU in a namespace and ends it afterwards.
  ///
  /// - Parameter incoming: whether it waits for a guest instead of booting one.
  /// - Throws: what `body` throws, with the end of QEMU's log and of the console.
  static func with<R: Sendable>(
    _ machine: Machine, in namespace: Namespace, directory: FilePath, incoming: Bool,
    _ body: @Sendable (TouchGuest) async throws -> R
  ) async throws -> R {
    try Files.makeDirectory(directory)
    let line = try await GuestLine(directory.appending("line"))
    let qmp = QMP()
    let child = try await Child.start(
      incoming ? "the destination's QEMU" : "the source's QEMU",
      namespace.command(
        machine.commandLine(directory: directory, line: line, incoming: incoming)),
      log: directory.appending("qemu.log"), line: { await qmp.receive($0) },
      ended: { await qmp.close() })
    let guest = TouchGuest(qmp: qmp, line: line, child: child, directory: directory)
    do {
      try await qmp.open(child.input)
      let result = try await body(guest)
      await guest.kill()
      return result
    } catch {
      await guest.kill()
      let end = guest.logEnd
      throw end.isEmpty ? error : LabError("\(error)\n\(child.name) ended with:\n\(end)")
    }
  }

  /// Waits until the guest has powered itself off.
  ///
  /// - Throws: ``LabError`` when it does not in time, or QEMU fails.
  func poweredOff() async throws {
    let code = try await child.exited(within: .seconds(30))
    guard code == 0 else { throw LabError("\(child.name) ended with \(code)") }
  }

  /// Signs of trouble on the guest's console; that it stood still for seconds is none here.
  var trouble: [String] {
    KernelLog.trouble(
      in: text("console.log"),
      tolerated: ["blocked for more than", "soft lockup", "rcu: INFO:", "rcu_sched self-detected"])
  }

  private var logEnd: String {
    (text("console.log") + text("qemu.log")).split(whereSeparator: \.isNewline).suffix(8)
      .joined(separator: "\n")
  }

  private func text(_ name: String) -> String {
    (try? Files.readText(directory.appending(name))) ?? ""
  }

  private func kill() async {
    child.send(SIGKILL)
    _ = try? await child.exited(within: .seconds(10))
  }
}
