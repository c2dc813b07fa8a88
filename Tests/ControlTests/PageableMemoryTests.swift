// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Control

@Suite struct PageableMemoryTests {
  /// The second guest could have all of its memory paged out, and no more.
  @Test(arguments: [(24000, 6000, 2000, 36000), (60000, 2000, 0, 64000)])
  func isWhatIsAvailableOrPrograms(
    available: UInt64, anonymous: UInt64, shared: UInt64, pageable: UInt64
  ) throws {
    let tree = try MadeUpTree()
    try tree.put(
      "proc/meminfo",
      """
      MemTotal:          64000 kB
      MemAvailable:      \(available) kB
      AnonPages:         \(anonymous) kB
      Shmem:             \(shared) kB
      """)
    #expect(try tree.files.pageableKiB() == pageable)
  }

  @Test func saysWhatTheKernelDoesNotTell() throws {
    let tree = try MadeUpTree()
    try tree.put("proc/meminfo", "MemTotal: 64000 kB\nMemAvailable: 1 kB\nShmem: 0 kB\n")
    #expect {
      try tree.files.pageableKiB()
    } throws: {
      ($0 as? Failure)?.message.contains("AnonPages") == true
    }
  }
}
