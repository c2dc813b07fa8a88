// SPDX-License-Identifier: Apache-2.0
import Console

/// How many pages the kernel reads from swap with each that a program needs (`vm.page-cluster`).
///
/// That spares seeks, and round trips to a server that sends nothing unasked. A pseudo-paging device's pages are in this
/// machine's memory until it has moved, and from then on the server pushes what is likely next: readahead would
/// ask for pages that come anyway, and while a guest pages out it would read back pages that nobody asked for.
public enum SwapReadahead {
  /// Has the kernel read one page at a time.
  ///
  /// - Returns: the pages that it read at a time before; nil when that was one.
  /// - Throws: ``Failure`` when the kernel's file cannot be read or written.
  public static func turnOff(_ files: KernelFiles) throws(Failure) -> Int? {
    let path = files.proc + "/sys/vm/page-cluster"
    // The binary logarithm; the kernel allows 0 to 31.
    guard let former = files.text(path).flatMap({ Int($0) }), (0...31).contains(former) else {
      throw Failure(.failed, "cannot read \(path), which says how much is read from swap at a time")
    }
    guard former > 0 else { return nil }
    do {
      try writeSmallFile(path, "0\n")
    } catch {
      throw Failure(.failed, "cannot write 0 to \(path): \(error)", errno: error.name)
    }
    return 1 << former
  }
}
