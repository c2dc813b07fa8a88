// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Control

@Suite struct SwapReadaheadTests {
  private let tree: MadeUpTree
  private let file = "proc/sys/vm/page-cluster"

  init() throws { tree = try MadeUpTree() }

  @Test func isSwitchedOff() throws {
    try tree.put(file, "3\n")
    #expect(try SwapReadahead.turnOff(tree.files) == 8)
    #expect(try tree.text(file).hasPrefix("0"))
  }

  @Test func isLeftOff() throws {
    try tree.put(file, "0\n")
    #expect(try SwapReadahead.turnOff(tree.files) == nil)
  }

  @Test(arguments: ["", "many\n", "-1\n", "32\n"])
  func aFileThatSaysSomethingElseIsAnError(text: String) throws {
    try tree.put(file, text)
    #expect(throws: Failure.self) { try SwapReadahead.turnOff(tree.files) }
    #expect(try tree.text(file) == text)
  }

  @Test func aMissingFileIsAnError() throws {
    #expect(throws: Failure.self) { try SwapReadahead.turnOff(tree.files) }
  }
}
