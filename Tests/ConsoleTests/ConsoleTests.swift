// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Console

@Suite struct ByteSizes {
  @Test(
    arguments: [
      ("0", 0), ("4096", 4096), ("1k", 1024), ("512M", 512 << 20), ("2G", 2 << 30),
      ("16777215T", 16_777_215 << 40),
    ] as [(String, UInt64)])
  func parses(text: String, bytes: UInt64) throws {
    #expect(try ByteSize(parsing: text).bytes == bytes)
  }

  @Test(arguments: ["", "M", "-1", "1.5G", "1 M", "12P", "16777216T", "99999999999999999999", "٣M"])
  func refuses(text: String) {
    #expect(throws: ByteSize.Invalid.self) { try ByteSize(parsing: text) }
  }

  @Test func readsWell() {
    #expect(ByteSize(bytes: 1023).description == "1023 B")
    #expect(ByteSize(bytes: 3 << 29).description == "1.5 GiB")
    #expect(ByteSize(bytes: 1 << 62).description == "4194304.0 TiB")
  }
}

@Suite struct Texts {
  @Test(arguments: [
    (0, 2, "0.00"), (1.005, 0, "1"), (0.999, 2, "1.00"), (-0.001, 2, "0.00"), (-2.5, 1, "-2.5"),
    (12345.678, 1, "12345.7"), (.infinity, 1, "-"), (0.05, 1, "0.1"),
  ])
  func decimals(value: Double, places: Int, text: String) {
    #expect(decimal(value, places: places) == text)
  }

  @Test func jsonIsOneEscapedLine() {
    var json = JSONLine()
    json.add("text", "a\"b\\c\nd\u{1}é")
    json.add("count", 7)
    json.add("rate", 0.25, places: 3)
    json.add("none", Double.nan, places: 1)
    json.add("ok", true)
    json.addNull("nothing")
    #expect(
      json.line
        == #"{"schema":1,"text":"a\"b\\c\nd\u0001é","count":7,"rate":0.250,"none":null,"ok":true,"#
        + #""nothing":null}"#)
  }

  @Test func columnsLineUp() {
    var table = Columns([("NAME", .left), ("SIZE", .right), ("USE", .left)])
    table.add(["memx0", "64.0 MiB", ""])
    table.add(["memx10", "1.0 GiB", "swap"])
    #expect(
      table.lines == [
        "NAME        SIZE  USE", "memx0   64.0 MiB", "memx10   1.0 GiB  swap",
      ])
  }

  @Test func aBarEndsBelowAHundred() {
    #expect(ProgressBar.text("sort", 0, elapsedS: 0).hasSuffix("] 0 %  0 s"))
    #expect(ProgressBar.text("sort", 1.5, elapsedS: 9).hasSuffix("] 99 %  9 s"))
  }

  @Test func errorsHaveNames() {
    #expect(SystemError(code: 19).name == "ENODEV")
    #expect(throws: SystemError(code: 2)) { try readSmallFile("/nonexistent") }
  }
}
