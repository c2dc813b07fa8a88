// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// A kernel module of this repository.
public enum ModuleSource: String, CaseIterable, Sendable {
  /// The block driver.
  case memx
  /// What takes free memory for a moment, in tests.
  case shortage = "memx_shortage"

  /// Where its sources are.
  public var directory: FilePath {
    switch self {
    case .memx: Repository.root.appending("kmod")
    case .shortage: Repository.root.appending("tools/guest/shortage")
    }
  }

  /// What is built, for guests without RDMA.
  var file: String { "\(rawValue).ko" }

  /// What is built beside, for guests with RDMA: it stands on the kernel's RDMA modules.
  var rdmaFile: String? {
    switch self {
    case .memx: "memx_rdma.ko"
    case .shortage: nil
    }
  }
}
