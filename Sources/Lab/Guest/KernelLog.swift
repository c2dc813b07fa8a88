// SPDX-License-Identifier: Apache-2.0

/// Reads a guest's kernel messages for signs of trouble.
public enum KernelLog {
  /// What a healthy kernel or hypervisor never says.
  static let signs = [
    "BUG:", "Oops", "WARNING:", "Kernel panic", "blocked for more than", "soft lockup",
    "hard LOCKUP", "general protection fault", "rcu: INFO:", "rcu_sched self-detected",
    "refcount_t:", "scheduling while atomic", "list_add corruption", "list_del corruption",
    "page allocation failure", "Bad page", "Out of memory", "unregister_netdevice: waiting",
    "Panic on CPU", "Xen BUG", "Xen WARN", "domain_crash", "crashed on cpu",
  ]

  /// What the emulator's own faults make a kernel say.
  ///
  /// QEMU 7.2 without KVM now and then makes garbage of the flags of a kernel under Xen (bits above the 21st are set), the
  /// trap flag among them; the kernel wonders who wanted to step through it, and goes on.
  static let faultsOfTheEmulator = ["exc_debug_kernel"]

  /// The lines of `log` that are signs of trouble.
  ///
  /// - Parameter tolerated: signs that a scenario brings about on purpose.
  public static func trouble(in log: String, tolerated: Set<String> = []) -> [String] {
    log.split(whereSeparator: \.isNewline).map(String.init).filter { line in
      signs.contains { !tolerated.contains($0) && line.contains($0) }
        && !faultsOfTheEmulator.contains { line.contains($0) }
    }
  }
}
