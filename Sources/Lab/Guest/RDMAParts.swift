// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// What a guest needs for RDMA over its Ethernet card.
enum RDMAParts {
  /// In the order in which they are loaded: without crc32, which no module names as its dependency, rxe has no devices.
  static let modules = [
    "crc32_generic", "crc32-pclmul", "rdma_rxe", "ib_uverbs", "rdma_cm", "rdma_ucm",
  ]
  /// What memx over RDMA is compared with, loaded where that is done.
  static let peers = ["nvme-rdma", "nvmet-rdma"]
  /// Programs of the distribution, beside `rdma`, that RDMA is measured with.
  static let programs = ["ib_read_lat", "ib_read_bw"]

  /// Libraries that are opened by name at run time, so that no program names them, and what has libibverbs find its driver.
  static let files: [ProgramSet.File] = {
    let libraries = "usr/lib/x86_64-linux-gnu"
    let common = ["libibverbs.so.1", "librdmacm.so.1"].map {
      (from: "\(libraries)/\($0)", to: "lib/x86_64-linux-gnu/\($0)")
    }
    let driver = "\(libraries)/libibverbs/librxe-rdmav34.so"
    let named =
      [(from: driver, to: driver)] + ["etc/libibverbs.d/rxe.driver"].map { (from: $0, to: $0) }
    return (common + named).map { .init(source: FilePath("/" + $0.from), target: $0.to) }
  }()
}

extension Shell {
  /// Gives a network interface an RDMA device, `rxe0`.
  func addSoftRoCE(to interface: String) async throws {
    try await run(
      """
      for module in \(RDMAParts.modules.joined(separator: " ")); do modprobe $module || exit 1; done
      /programs/bin/rdma link add rxe0 type rxe netdev \(interface)
      until [ -c /dev/infiniband/uverbs0 -a -c /dev/infiniband/rdma_cm ]; do usleep 10000; done
      """)
  }
}

extension Guest {
  /// Gives the network card an address and an RDMA device, `rxe0`.
  ///
  /// - Parameter address: with the length of its prefix.
  public func rdmaUp(_ address: String) async throws {
    try await linkUp()
    try await run("/programs/bin/ip addr add \(address) dev eth0")
    try await addSoftRoCE(to: "eth0")
  }
}
