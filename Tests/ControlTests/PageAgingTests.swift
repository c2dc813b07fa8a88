// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Control

@Suite struct PageAgingTests {
  private let tree: MadeUpTree
  private let file = "sys/kernel/mm/lru_gen/enabled"

  init() throws { tree = try MadeUpTree() }

  @Test func isSwitchedOn() throws {
    try tree.put(file, "0x0000\n")
    #expect(try PageAging.useGenerations(tree.files))
    #expect(try tree.text(file).hasPrefix("y"))
  }

  @Test func isLeftAsItIs() throws {
    try tree.put(file, "0x0007\n")
    #expect(try !PageAging.useGenerations(tree.files))
    #expect(try tree.text(file) == "0x0007\n")
  }

  @Test func isNoErrorWhereThereIsNone() throws {
    #expect(try !PageAging.useGenerations(tree.files))
  }
}
