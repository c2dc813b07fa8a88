// SPDX-License-Identifier: Apache-2.0

/// The kernel's detector of tasks that cannot be interrupted and do not run
/// (`kernel.hung_task_timeout_secs`, usually 120).
///
/// A task that waits for a page is such a task. With a device's timeout below the detector's, its
/// request fails before the detector speaks; with a longer one the kernel's log has a warning and a
/// stack for each such task, and a machine with `kernel.hung_task_panic` panics.
public enum HungTaskDetector {
  /// What a person should know who gives a device this timeout.
  ///
  /// - Parameter timeoutS: the device's timeout in seconds.
  /// - Returns: nil when requests fail before the detector speaks, or there is none.
  public static func warning(timeoutS: Int, _ files: KernelFiles) -> String? {
    guard
      let limit = files.text(files.proc + "/sys/kernel/hung_task_timeout_secs").flatMap(Int.init),
      limit > 0, timeoutS >= limit
    else { return nil }
    return
      "the timeout of \(timeoutS) s is not below kernel.hung_task_timeout_secs (\(limit)): while the"
      + " server is silent the kernel reports tasks as hung, or panics if kernel.hung_task_panic is"
      + " set"
  }
}
