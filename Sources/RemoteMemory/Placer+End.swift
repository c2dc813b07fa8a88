// SPDX-License-Identifier: Apache-2.0
import RMAP

extension Placer {
  /// Has missing pages read as zeros from now on, as those of any program: nothing more will come.
  ///
  /// What cannot be released any more (a program that has ended or unmapped its memory) needs it no more.
  func release() {
    for index in 0..<areas.count {
      let area = areas[index]
      try? userfaultfds[area.userfaultfd].unregister(
        address: area.address, length: area.pages * UInt64(Wire.pageBytes))
    }
  }

  /// Has accesses to missing pages end in SIGBUS. Where the kernel has no way to, who comes upon one waits until
  /// its process is ended.
  mutating func loseMissing() {
    for state in [SlotState.missing, .requested, .announced] {
      var slot: UInt64 = 0
      while let first = states.first(state, from: slot) {
        guard let area = areas.area(of: first) else { return }
        let run = states.run(state, from: first, limit: area.slots.upperBound - first)
        let placement = userfaultfds[area.userfaultfd].poison(
          at: area.address(of: first), pages: Int(run))
        // Behind an obstacle, the next page may do.
        let done = UInt64(max(1, placement.placed))
        states.set(first..<first + done, .lost)
        slot = first + done
      }
    }
  }
}
