// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Control

@Suite struct NetworkReserveTests {
  private let tree: MadeUpTree

  init() throws {
    tree = try MadeUpTree()
    try tree.put("proc/meminfo", "MemTotal:       192000 kB\nMemFree: 1 kB\n")
  }

  @Test func isRaisedToASixteenth() throws {
    try tree.put("proc/sys/vm/min_free_kbytes", "1700\n")
    let reserve = try NetworkReserve.raise(tree.files)
    #expect(reserve == NetworkReserve(formerKiB: 1700, currentKiB: 12000))
    #expect(tree.files.text(tree.files.proc + "/sys/vm/min_free_kbytes") == "12000")
  }

  @Test func isNeverLowered() throws {
    try tree.put("proc/sys/vm/min_free_kbytes", "67584\n")
    #expect(try NetworkReserve.raise(tree.files) == nil)
    #expect(tree.files.text(tree.files.proc + "/sys/vm/min_free_kbytes") == "67584")
  }

  @Test func isSixteenMebibytesAtMost() {
    #expect(NetworkReserve.wantedKiB(totalKiB: 64 << 20) == 16 << 10)
  }

  @Test func saysWhichFileIsMissing() throws {
    let failure = #expect(throws: Failure.self) { try NetworkReserve.raise(tree.files) }
    #expect(failure?.message.contains("proc/sys/vm/min_free_kbytes") == true)
  }
}
