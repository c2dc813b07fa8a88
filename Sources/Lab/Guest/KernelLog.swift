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

  /// What precedes signs of trouble that the emulator has brought about: a fault with flags that no x86 processor can have, or
  /// a breakpoint where there is none. It tells nothing about what was run, which should be run again.
  public static let faultOfTheEmulator = "the emulator, not the kernel, is at fault"

  /// Bits of EFLAGS that are always 0 (Intel, Software Developer's Manual, volume 1, section 3.4.3).
  private static let impossibleFlags: UInt32 = 0xFFC0_8028

  /// The lines of `log` that are signs of trouble.
  ///
  /// - Parameter tolerated: signs that a scenario brings about on purpose.
  public static func trouble(in log: String, tolerated: Set<String> = []) -> [String] {
    let lines = log.split(whereSeparator: \.isNewline)
    let found = lines.map(String.init).filter { line in
      signs.contains { !tolerated.contains($0) && line.contains($0) }
        && !faultsOfTheEmulator.contains { line.contains($0) }
    }
    guard !found.isEmpty else { return [] }
    return emulatorsFault(in: lines) + found
  }

  /// The last lines of a console on which a guest has ended, after the emulator's fault where it was that.
  public static func end(of log: String) -> String {
    let lines = log.split(whereSeparator: \.isNewline)
    return (emulatorsFault(in: lines) + lines.suffix(15).map(String.init)).joined(separator: "\n")
  }

  /// That the emulator is at fault, with what shows it; nothing where nothing does.
  private static func emulatorsFault(in lines: [Substring]) -> [String] {
    let evidence = lines.lazy.compactMap(impossibleFlags(in:)).first ?? staleBreakpoint(in: lines)
    return evidence.map { ["\(faultOfTheEmulator): \($0)"] } ?? []
  }

  /// The flags in a line of a fault's registers, when they are impossible.
  private static func impossibleFlags(in line: Substring) -> String? {
    let words = line.split(separator: " ")
    guard let label = words.firstIndex(of: "EFLAGS:"), label + 1 < words.endIndex,
      let flags = UInt32(words[label + 1], radix: 16), flags & impossibleFlags != 0
    else { return nil }
    return "EFLAGS were 0x\(String(flags, radix: 16))"
  }

  /// The instruction of a fatal breakpoint, when it is none.
  ///
  /// A kernel that patches itself has a breakpoint in the place until the patch is complete and all processors know of it
  /// (`arch/x86/kernel/alternative.c`, `text_poke_bp_batch`). An emulator that runs its old translation once more
  /// meets a breakpoint that nobody expects any longer. The byte in memory tells: it precedes the one in angle
  /// brackets, at which the processor would have gone on.
  private static func staleBreakpoint(in lines: [Substring]) -> String? {
    guard let fault = lines.firstIndex(where: { $0.contains("int3: 0000 [#") }),
      let code = lines[fault...].first(where: { $0.contains("Code: ") })
    else { return nil }
    let bytes = code.split(separator: " ")
    guard let next = bytes.firstIndex(where: { $0.hasPrefix("<") }), next > bytes.startIndex,
      let byte = UInt8(bytes[next - 1], radix: 16), byte != 0xCC
    else { return nil }
    return "a breakpoint where the code has 0x\(String(byte, radix: 16))"
  }
}
