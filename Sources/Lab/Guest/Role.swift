// SPDX-License-Identifier: Apache-2.0

/// What a machine is for, which decides what it loads and starts.
enum Role: String, Sendable {
  /// A guest of QEMU's.
  case guest
  /// A guest of QEMU's with RDMA.
  case rdma
  /// The first domain of a Xen host that QEMU emulates.
  case dom0
  /// A paravirtual guest of such a host.
  case xenGuest = "xen-guest"

  /// The kernel's modules in its ramdisk, beside those of this repository.
  var modules: [String] {
    switch self {
    case .guest:
      [
        "virtio_pci", "virtio_net", "e1000", "virtio_console", "virtio_blk", "ext4",
        "crc32c_generic", "crc32c_intel", "sch_netem", "bridge", "veth", "nbd", "aoe", "zram",
      ]
    case .rdma: Role.guest.modules + RDMAParts.modules + RDMAParts.peers
    case .dom0:
      ["virtio_pci", "virtio_net", "virtio_console", "virtio_blk", "ext4", "crc32c_generic"]
        + Dom0.modules + RDMAParts.modules
    case .xenGuest: XenGuest.modules + RDMAParts.modules
    }
  }
}
