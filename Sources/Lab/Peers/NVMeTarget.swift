// SPDX-License-Identifier: Apache-2.0

/// A file in a guest's memory, served by the kernel's own NVMe target over RDMA, and a guest that swaps to it.
struct NVMeTarget: Sendable {
  let pair: RDMAPair
  private static let name = "memx-lab"
  private static let port = 4420
  private static let subsystem = "/sys/kernel/config/nvmet/subsystems/\(name)"
  private static let listener = "/sys/kernel/config/nvmet/ports/1"

  /// Serves a file of `size_mib` from the server's guest.
  ///
  /// - Throws: ``LabError`` when the target does not start.
  static func start(_ pair: RDMAPair, size_mib: Int) async throws -> NVMeTarget {
    try await pair.server.run(
      """
      modprobe nvmet-rdma
      mkdir -p /run/nvme
      mount -t tmpfs -o size=\(size_mib)M nvme /run/nvme
      dd if=/dev/zero of=/run/nvme/store bs=1M count=\(size_mib) 2> /dev/null
      mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
      mkdir -p \(subsystem)/namespaces/1 \(listener)
      echo 1 > \(subsystem)/attr_allow_any_host
      cd \(subsystem)/namespaces/1
      echo -n /run/nvme/store > device_path
      # Files of a tmpfs take no direct I/O on all kernels; in memory they are either way.
      echo 1 > buffered_io
      echo 1 > enable
      cd \(listener)
      echo rdma > addr_trtype
      echo ipv4 > addr_adrfam
      echo \(RDMAPair.address) > addr_traddr
      echo \(port) > addr_trsvcid
      ln -s \(subsystem) subsystems/\(name)
      """)
    return NVMeTarget(pair: pair)
  }

  /// Swaps to it in the client's guest.
  func swap() async throws {
    try await pair.client.run(
      """
      modprobe nvme-rdma
      echo transport=rdma,traddr=\(RDMAPair.address),trsvcid=\(Self.port),nqn=\(Self.name) \
        > /dev/nvme-fabrics
      until [ -b /dev/nvme0n1 ]; do usleep 50000; done
      mkswap /dev/nvme0n1 > /dev/null && swapon -d /dev/nvme0n1
      """)
  }

  /// The end of ``swap()``.
  func swapOff() async throws {
    try await pair.client.run(
      "swapoff /dev/nvme0n1 && echo 1 > /sys/class/nvme/nvme0/delete_controller",
      timeout: .seconds(300))
  }

  /// Serves it no more, and gives its memory back.
  func stop() async throws {
    try await pair.server.run(
      """
      rm \(Self.listener)/subsystems/\(Self.name)
      rmdir \(Self.listener)
      echo 0 > \(Self.subsystem)/namespaces/1/enable
      rmdir \(Self.subsystem)/namespaces/1 \(Self.subsystem)
      umount /run/nvme
      """)
  }
}
