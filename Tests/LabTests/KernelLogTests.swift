// SPDX-License-Identifier: Apache-2.0
import Lab
import Testing

@Suite struct KernelLogTests {
  private static let healthy = """
    [    1.166605] amd_pstate: the _CPC object is not present in SBIOS or ACPI disabled
    [    6.264036] memx: loading out-of-tree module taints kernel.
    """

  private static func fault(flags: String) -> String {
    """
    [   35.702250] Oops: double fault: 0000 [#1] PREEMPT SMP NOPTI
    [   35.704590] RSP: 0018:ff5a655d4006bbe0 EFLAGS: \(flags)
    [   35.706733] Kernel panic - not syncing: Fatal exception in interrupt
    """
  }

  @Test func healthyKernelsSayNothing() {
    #expect(KernelLog.trouble(in: Self.healthy) == [])
  }

  /// The second had bits 22 and more set, which no processor does.
  @Test(arguments: [("00010246", false), ("91678202", true), ("00000208", true)])
  func faultsAreTheKernelsUnlessFlagsAreImpossible(flags: String, isEmulators: Bool) {
    let trouble = KernelLog.trouble(in: Self.healthy + "\n" + Self.fault(flags: flags))
    #expect(trouble.filter { $0.contains("Oops") || $0.contains("Kernel panic") }.count == 2)
    #expect(trouble[0].contains(KernelLog.faultOfTheEmulator) == isEmulators)
  }

  /// Kernels before 6.10 say no "Oops" in front of it.
  @Test(arguments: [("Oops: int3", "e8", true), ("int3", "0f", true), ("int3", "cc", false)])
  func breakpointsAreTheKernelsUnlessThereIsNone(name: String, byte: String, isEmulators: Bool) {
    let trouble = KernelLog.trouble(
      in: """
        [    1.212431] \(name): 0000 [#1] PREEMPT SMP NOPTI
        [    1.212822] RIP: 0010:enqueue_timer+0x59/0xc0
        [    1.213045] Code: 48 8b 45 00 48 89 03 \(byte) <1f> 44 00 00 5b 5d 41 5c
        [    1.213460] RSP: 0018:ffffb5a1c0003ea8 EFLAGS: 00000086
        [    1.214001] Kernel panic - not syncing: Fatal exception in interrupt
        """)
    #expect(trouble.contains { $0.contains("Kernel panic") })
    #expect(trouble[0].contains(KernelLog.faultOfTheEmulator) == isEmulators)
  }

  /// A guest that panics when it boots leaves many lines behind what tells whose fault it was.
  @Test(arguments: [("66", true), ("cc", false)])
  func theEndOfAConsoleNamesTheEmulatorsFault(byte: String, isEmulators: Bool) {
    let registers = (0..<40).map { "[    3.33] R\($0): 0000000000000000" }
    let end = KernelLog.end(
      of: """
        [    3.329550] Oops: int3: 0000 [#1] PREEMPT SMP NOPTI
        [    3.330824] Code: 0f 1f 44 00 00 49 89 dc 0f 1f 44 00 00 \(byte) <90> 48 8b 43 08
        \(registers.joined(separator: "\n"))
        """)
    #expect(end.contains(KernelLog.faultOfTheEmulator) == isEmulators)
    #expect(end.hasSuffix("R39: 0000000000000000") && !end.contains("R0: "))
  }

  /// A scenario's own trouble has no registers; flags alone are no trouble.
  @Test func flagsAloneAreNone() {
    let log = "[    1.0] RSP: e02b:ffffc90040003f08 EFLAGS: 91678302"
    #expect(KernelLog.trouble(in: log) == [])
    let hung = "[  124.0] INFO: task kswapd0:51 blocked for more than 61 seconds."
    #expect(KernelLog.trouble(in: hung) == [hung])
    #expect(KernelLog.trouble(in: hung, tolerated: ["blocked for more than"]) == [])
  }
}
