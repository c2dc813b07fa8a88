// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// An unpacked distribution kernel with what is needed to build modules for it.
public struct Kernel: Sendable {
  /// The series it was resolved for.
  public let series: KernelSeries
  /// The release, as `uname -r` says in a guest.
  public let release: String
  /// The directory that the packages were unpacked in.
  public let root: FilePath

  /// The bootable image.
  public var image: FilePath { root.appending("boot/vmlinuz-\(release)") }
  /// The modules that came with the image.
  public var modules: FilePath { root.appending("lib/modules/\(release)") }
  /// What `make -C` takes to build a module.
  public var headers: FilePath { root.appending("usr/src/linux-headers-\(release)") }
}
