// SPDX-License-Identifier: Apache-2.0
import Console

/// How the kernel ages pages: by two lists, or in generations (multi-generational LRU, Linux 6.1 and later).
///
/// A migration's LRU order is that in which pages are reclaimed. Generations know it better: they are made
/// by looking through page tables for what was used, where two lists see only what reclaim happens on.
public enum PageAging {
  /// Has the kernel age in generations, where it can and does not.
  ///
  /// - Returns: whether that is new.
  /// - Throws: ``Failure`` when the kernel's file cannot be written.
  public static func useGenerations(_ files: KernelFiles) throws(Failure) -> Bool {
    let path = files.sysfs + "/kernel/mm/lru_gen/enabled"
    // A bit each for the whole, for leaf and for other entries of page tables (Documentation/admin-guide/mm/multigen_lru.rst).
    guard let text = files.text(path), text.hasPrefix("0x"),
      let bits = UInt64(text.dropFirst(2), radix: 16), bits & 1 == 0
    else { return false }
    do {
      try writeSmallFile(path, "y\n")
    } catch {
      throw Failure(.failed, "cannot write y to \(path): \(error)", errno: error.name)
    }
    return true
  }
}
