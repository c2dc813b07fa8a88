// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Control

@Suite struct HungTaskDetectorTests {
  @Test(arguments: [("120\n", 119, false), ("120\n", 120, true), ("0\n", 86400, false)])
  func speaksBeforeRequestsFail(limit: String, timeoutS: Int, speaks: Bool) throws {
    let tree = try MadeUpTree()
    try tree.put("proc/sys/kernel/hung_task_timeout_secs", limit)
    let warning = HungTaskDetector.warning(timeoutS: timeoutS, tree.files)
    #expect((warning != nil) == speaks)
    if let warning { #expect(warning.contains("120 s") && warning.contains("(120)")) }
  }

  @Test func aKernelWithoutItSaysNothing() throws {
    #expect(HungTaskDetector.warning(timeoutS: 86400, try MadeUpTree().files) == nil)
  }
}
