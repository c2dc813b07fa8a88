// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage

/// How guests are run: by the processor itself, or emulated.
public enum Accelerator: String, Sendable {
  case kvm
  case tcg

  /// What this machine can do.
  ///
  /// That `/dev/kvm` can be opened says little (nested virtualization may be broken), so a kernel
  /// is booted up to a marker. The answer is kept until the machine boots again. The environment
  /// variable `MEMX_ACCEL` (`kvm` or `tcg`) overrides it.
  ///
  /// - Throws: ``LabError`` for a wrong `MEMX_ACCEL` or when the probe cannot be made.
  public static func usable(
    cache: Cache, kernel: Kernel, progress: Progress
  ) async throws -> Accelerator {
    if let given = getenv("MEMX_ACCEL").map({ String(cString: $0) }), !given.isEmpty {
      guard let accelerator = Accelerator(rawValue: given) else {
        throw LabError("MEMX_ACCEL is ‘\(given)’", remedy: "set it to kvm or tcg, or unset it")
      }
      return accelerator
    }
    guard access("/dev/kvm", R_OK | W_OK) == 0 else { return .tcg }
    let boot = try Files.readText("/proc/sys/kernel/random/boot_id").filter { !$0.isWhitespace }
    let answer = try await cache.entry("accelerator/\(boot)") { directory in
      progress.note("KVM: trying it with a kernel")
      let works = try await boots(kernel, in: directory)
      progress.note(works ? "KVM: works" : "KVM: does not work here, guests are emulated")
      try Files.write(works ? "kvm" : "tcg", to: directory.appending("answer"))
    }
    try await cache.prune("accelerator", keeping: [boot])
    return Accelerator(rawValue: try Files.readText(answer.appending("answer"))) ?? .tcg
  }

  /// Whether a guest gets to user space under KVM within a few seconds.
  private static func boots(_ kernel: Kernel, in directory: FilePath) async throws -> Bool {
    let marker = "MEMX-KVM-WORKS"
    let tree = directory.appending("tree")
    try Files.makeDirectory(tree.appending("bin"))
    try Files.makeDirectory(tree.appending("dev"))
    try await Command.run(["cp", "-L", "/bin/busybox", tree.appending("bin/busybox").string])
    try Files.write(
      """
      #!/bin/busybox sh
      /bin/busybox mount -t devtmpfs dev /dev
      echo \(marker) > /dev/ttyS0
      /bin/busybox poweroff -f

      """, to: tree.appending("init"), executable: true)
    let ramdisk = directory.appending("ramdisk.gz").string
    try await Command.run(
      ["sh", "-ec", "find . | cpio --quiet -o -H newc | gzip -1 > \"$1\"", "sh", ramdisk], in: tree)
    let outcome = try? await Command.outcome(
      [
        "qemu-system-x86_64", "-machine", "q35", "-accel", "kvm", "-cpu", "max", "-m", "256",
        "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
        "-kernel", kernel.image.string, "-initrd", ramdisk,
        "-append", "console=ttyS0 quiet panic=-1",
      ], timeout: .seconds(20))
    return outcome?.output.contains(marker) ?? false
  }
}
