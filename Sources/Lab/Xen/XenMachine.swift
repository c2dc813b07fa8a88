// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// What a Xen host is made of.
public struct XenMachine: Sendable {
  /// Tells hosts apart: 1, 2, ….
  public let number: Int
  /// Memory of the whole machine, in MiB: dom0's, the hypervisor's, and what guests get.
  public var memory_mib: Int
  /// Physical processors: with one, dom0 and a guest would wait for each other's time slices, of up to
  /// 30 ms, for each frame.
  public var processors = 2

  /// How long a command may take for which nothing else is said: a hypervisor that is emulated on a busy
  /// machine takes its time.
  static let patience = Duration.seconds(240)

  /// dom0's memory, in MiB.
  static let dom0Memory_mib = 512

  /// - Parameter guests_mib: memory for guests.
  public init(number: Int, guests_mib: Int = 512) {
    self.number = number
    memory_mib = Self.dom0Memory_mib + 128 + guests_mib
  }

  var name: String { "host\(number)" }
  /// The tap in the namespace that its network card is joined to.
  var tap: String { "tap\(number)" }
  /// Its network card's Ethernet address, which is its bridge's too.
  var macAddress: String { "52:54:00:6d:78:0\(number)" }
  /// dom0's address in the lab's network.
  var address: String { XenNetwork.address(host: number) }

  /// QEMU's command line.
  ///
  /// Two flags are for emulation's sake: with SMAP dom0 dies as it starts, and without `eager-fpu`
  /// programs in dom0 crash now and then once a guest runs.
  func commandLine(_ parts: XenParts, directory: FilePath) -> [String] {
    let hypervisor = [
      "console=com1", "com1=115200,8n1", "dom0_max_vcpus=1",
      "dom0_mem=\(Self.dom0Memory_mib)M,max:\(Self.dom0Memory_mib)M",
      "loglvl=warning", "guest_loglvl=warning", "spec-ctrl=eager-fpu",
    ]
    let dom0 = [
      "console=hvc0", "loglevel=5", "panic=-1", "rootfstype=ramfs", "lab_address=\(address)",
    ]
    let disks = parts.disks.enumerated().flatMap { index, disk in
      [
        "-drive", "file=\(disk),if=none,id=disk\(index),format=raw,readonly=on",
        "-device", "virtio-blk-pci,drive=disk\(index)",
      ]
    }
    return [
      "qemu-system-x86_64", "-machine", "q35", "-accel", parts.accelerator.rawValue,
      "-cpu", "max,-smap", "-smp", "\(processors)", "-m", "\(memory_mib)", "-nodefaults",
      "-display", "none", "-no-reboot", "-kernel", parts.xen.image.string,
      "-append", hypervisor.joined(separator: " "),
      "-initrd", "\(parts.vmlinux) \(dom0.joined(separator: " ")),\(parts.ramdisk)",
      "-serial", "file:\(directory.appending("console.log"))",
    ] + disks + [
      "-netdev", "tap,id=net0,ifname=\(tap),script=no,downscript=no",
      "-device", "virtio-net-pci,id=nic0,netdev=net0,mac=\(macAddress),host_mtu=9000",
      "-device", "virtio-serial-pci", "-chardev", "stdio,id=lab,signal=off",
      "-device", "virtserialport,chardev=lab,name=lab",
      "-chardev", "pipe,id=monitor,path=\(directory.appending("monitor"))",
      "-mon", "chardev=monitor,mode=readline",
    ]
  }
}
