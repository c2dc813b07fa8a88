// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// What is on a disk with programs.
struct ProgramSet: Sendable {
  /// A file on the disk.
  struct File: Sendable {
    let source: FilePath
    /// Where it lies on the disk.
    let target: String
  }

  /// Programs of this package, linked statically against the Swift libraries.
  var swift: [String]
  /// Programs of this package as they are on this machine: those that need what cannot be linked
  /// statically.
  var products: [String] = []
  /// The small programs of `tools/guest`.
  var small: [String] = []
  /// Programs of the distribution, installed on this machine.
  var host: [String]
  /// Other files; those that are programs get their libraries beside them.
  var files: [File] = []
  /// Where libraries are looked for first.
  var libraries: [FilePath] = []
  /// Texts, by where they lie on the disk; they can be run.
  var texts: [String: String] = [:]

  /// What scenarios run in guests.
  static let guest = ProgramSet(
    swift: ["memx-bench", "memxctl"], small: ["holding", "pulse", "sweep"],
    host: ["busybox", "tc", "ip", "rdma", "sort", "stress-ng", "nbd-client", "openssl", "base64"])

  /// What scenarios run in guests with RDMA.
  static let rdma = {
    var set = ProgramSet.guest
    set.products = ["memxd"]
    set.host += RDMAParts.programs
    set.files = RDMAParts.files
    return set
  }()

  /// What dom0 of a Xen host runs.
  static func dom0(_ xen: Xen) -> ProgramSet {
    let tools = [
      "xl", "xenstored", "xenconsoled", "libxl-save-helper", "xen-init-dom0",
    ].map {
      File(source: xen.root.appending("\(Xen.tools)/\($0)"), target: "\(Xen.tools)/\($0)")
    }
    let store = ["read", "write", "ls", "list", "exists", "rm", "chmod", "watch"].map {
      File(source: xen.root.appending("usr/bin/xenstore-\($0)"), target: "usr/bin/xenstore-\($0)")
    }
    return ProgramSet(
      swift: ["memxctl"], products: ["memxd"], small: ["wire"], host: ["tc", "ip", "rdma"],
      files: tools + store + RDMAParts.files,
      libraries: xen.libraries,
      texts: [
        "etc/xen/xl.conf": Dom0.configuration,
        "etc/xen/scripts/vif-bridge": Dom0.vifScript, "etc/xen/scripts/block": Dom0.blockScript,
      ])
  }
}
