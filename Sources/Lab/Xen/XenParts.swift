// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// What Xen hosts and their guests boot from.
public struct XenParts: Sendable {
  /// The kernel of dom0, the same whatever the guests' is.
  static let dom0Series = KernelSeries.v6_1

  /// The guests' kernel.
  public let guestKernel: Kernel
  public let accelerator: Accelerator
  let xen: Xen
  /// dom0's kernel, an ELF file.
  let vmlinux: FilePath
  /// dom0's ramdisk.
  let ramdisk: FilePath
  /// The disks of a host, in order: dom0's programs, what guests boot from, guests' programs.
  let disks: [FilePath]
  /// `tools/guest/pulse.c`, for this machine.
  let pulse: FilePath
}

extension Lab {
  /// Makes whatever is missing to boot Xen hosts with guests of a series.
  ///
  /// - Throws: ``LabError`` when something cannot be fetched or built.
  public func xenParts(for series: KernelSeries) async throws -> XenParts {
    let xen = try await XenPackages(cache: cache, progress: progress).xen()
    let dom0 = try await kernel(XenParts.dom0Series)
    let guest = try await kernel(series)
    let uncompressed = UncompressedKernel(cache: cache, progress: progress)
    return XenParts(
      guestKernel: guest,
      accelerator: try await Accelerator.usable(cache: cache, kernel: dom0, progress: progress),
      xen: xen, vmlinux: try await uncompressed.file(of: dom0),
      ramdisk: try await ramdisk(of: .dom0, for: dom0, modules: []),
      disks: [
        try await programs(.dom0(xen)),
        try await bootDisk(
          vmlinux: try await uncompressed.file(of: guest),
          ramdisk: try await ramdisk(
            of: .xenGuest, for: guest, modules: try await modules(for: guest, withRDMA: true))),
        try await programs(.guest),
      ],
      pulse: try await StaticPrograms(cache: cache, progress: progress).file(of: "pulse"))
  }

  /// The disk that a guest's kernel and ramdisk are read from in dom0.
  private func bootDisk(vmlinux: FilePath, ramdisk: FilePath) async throws -> FilePath {
    var fingerprint = Fingerprint()
    fingerprint.add(vmlinux.string)
    fingerprint.add(ramdisk.string)
    let key = fingerprint.text
    let entry = try await cache.entry("xen-guests/\(key)") { directory in
      progress.note("disk with a Xen guest's kernel: making")
      let tree = directory.appending("tree")
      try Files.makeDirectory(tree)
      try await Command.run(["cp", vmlinux.string, tree.appending("vmlinux").string])
      try await Command.run(["cp", ramdisk.string, tree.appending("ramdisk.gz").string])
      try await DiskImage.make(of: tree, at: directory.appending("boot.img"))
      try await Command.run(["rm", "-rf", tree.string])
    }
    try await cache.prune("xen-guests", keeping: [key])
    return entry.appending("boot.img")
  }
}
