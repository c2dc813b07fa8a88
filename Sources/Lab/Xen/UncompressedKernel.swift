// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// The ELF file in a kernel's bootable image, which Xen boots.
///
/// Xen could unpack the image itself, but under emulation that costs half a minute at each boot.
struct UncompressedKernel: Sendable {
  let cache: Cache
  let progress: Progress

  /// The ELF file of `kernel`, unpacked when the cache does not have it.
  ///
  /// - Throws: ``LabError`` when the image is not of the x86 boot protocol or its payload is
  ///   compressed in another way than the distribution's kernels are.
  func file(of kernel: Kernel) async throws -> FilePath {
    let entry = try await cache.entry("vmlinux/\(kernel.release)") { directory in
      progress.note("kernel \(kernel.release): uncompressing")
      let payload = try Self.payload(of: Files.read(kernel.image))
      let packed = directory.appending("payload")
      try Files.write(payload, to: packed)
      let program = try Self.decompressor(of: payload)
      try await Command.run([
        "sh", "-ec", "\(program) < \"$1\" > \"$2\"", "sh", packed.string,
        directory.appending("vmlinux").string,
      ])
      try await Command.run(["rm", packed.string])
    }
    return entry.appending("vmlinux")
  }

  /// The compressed kernel in an image, as the boot protocol's header (Documentation/arch/x86/boot.rst,
  /// version 2.08) says where it is, without the size that the kernel's build puts behind it.
  static func payload(of image: [UInt8]) throws -> [UInt8] {
    func number(at offset: Int, bytes: Int) -> Int {
      (0..<bytes).reduce(0) { $0 | Int(image[offset + $1]) << (8 * $1) }
    }
    guard image.count > 0x250, image[0x202..<0x206] == [0x48, 0x64, 0x72, 0x53][...],
      number(at: 0x206, bytes: 2) >= 0x208
    else { throw LabError("a kernel's image has no header of the x86 boot protocol 2.08") }
    let start = (number(at: 0x1f1, bytes: 1) + 1) * 512 + number(at: 0x248, bytes: 4)
    let end = start + number(at: 0x24c, bytes: 4) - 4
    guard start < end, end <= image.count else {
      throw LabError("a kernel's image ends before its payload does")
    }
    return Array(image[start..<end])
  }

  /// The program that unpacks a payload from its standard input.
  static func decompressor(of payload: [UInt8]) throws -> String {
    if payload.starts(with: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]) { return "xz -dc" }
    if payload.starts(with: [0x28, 0xb5, 0x2f, 0xfd]) { return "zstd -qdc" }
    throw LabError("a kernel's payload is compressed neither by xz nor by zstd")
  }
}
