// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// What a guest is made of.
public struct Machine: Sendable {
  /// Names the directory with its logs.
  public var name = "guest"
  /// Memory, in MiB.
  public var memory_mib = 256
  /// Virtual processors.
  public var processors = 2
  /// A model of network card.
  public enum Card: String, Sendable {
    case virtio = "virtio-net-pci"
    /// Its driver takes receive buffers from the emergency reserves once it may, as real cards'
    /// drivers do; virtio's does not.
    case e1000
  }

  /// Its network card.
  public var card = Card.virtio
  /// Bytes of payload in a frame of its network card.
  public var mtu = 9000
  /// The Ethernet address of its network card.
  public var address = "52:54:00:6d:78:01"
  /// The tap in the namespace that its network card is joined to.
  public var tap = "tap0"
  /// Words added to the kernel's command line.
  public var kernelWords: [String] = []

  public init(memory_mib: Int = 256, processors: Int = 2) {
    self.memory_mib = memory_mib
    self.processors = processors
  }

  /// QEMU's command line.
  func commandLine(
    accelerator: Accelerator, kernel: Kernel, ramdisk: FilePath, programs: FilePath,
    directory: FilePath
  ) -> [String] {
    let words =
      [
        "console=ttyS0", "loglevel=5", "panic=-1", "rootfstype=ramfs", "mitigations=off",
        // In a guest that waits for a processor the check finds no timer, and the kernel panics.
        "no_timer_check",
      ]
      + kernelWords
    // Where there may only ever be one processor, QEMU before 8.1 emulates it without memory barriers, which virtio
    // cannot do without: the network card stands still now and then (c914d46d0a64 in QEMU).
    let mostProcessors = accelerator == .tcg ? max(2, processors) : processors
    return [
      "qemu-system-x86_64", "-machine", "q35", "-accel", accelerator.rawValue, "-cpu", "max",
      "-smp", "\(processors),maxcpus=\(mostProcessors)", "-m", "\(memory_mib)", "-nodefaults",
      "-display", "none", "-no-reboot", "-kernel", kernel.image.string, "-initrd", ramdisk.string,
      "-append", words.joined(separator: " "),
      "-serial", "file:\(directory.appending("console.log"))",
      "-drive", "file=\(programs),if=none,id=programs,format=raw,readonly=on",
      "-device", "virtio-blk-pci,drive=programs",
      "-netdev", "tap,id=net0,ifname=\(tap),script=no,downscript=no",
      "-device",
      "\(card.rawValue),id=nic0,netdev=net0,mac=\(address)"
        + (card == .virtio ? ",host_mtu=\(mtu)" : ""),
      "-device", "virtio-serial-pci", "-chardev", "stdio,id=lab,signal=off",
      "-device", "virtserialport,chardev=lab,name=lab",
      "-chardev", "pipe,id=monitor,path=\(directory.appending("monitor"))",
      "-mon", "chardev=monitor,mode=readline",
    ]
  }
}
