// SPDX-License-Identifier: Apache-2.0
import Glibc
import RMAP

/// The JSON of a hand-over. Foundation's parser would weigh more than all the rest of the library.
enum HandOverText {
  static func make(_ mappings: [HandedMapping]) -> String {
    "["
      + mappings.map {
        "{\"base_host_virt_addr\":\($0.address),\"size\":\($0.length),\"offset\":\($0.offset),"
          + "\"page_size\":\(Wire.pageBytes)}"
      }.joined(separator: ",") + "]"
  }

  /// Has the array that the bytes begin with come to its end? Anything that does not begin with one counts
  /// as whole: there is nothing to wait for.
  static func isWhole(_ bytes: some Collection<UInt8>) -> Bool {
    var depth = 0
    var inString = false
    var isEscaped = false
    var isEmpty = true
    for byte in bytes {
      if inString {
        if isEscaped {
          isEscaped = false
        } else if byte == UInt8(ascii: "\\") {
          isEscaped = true
        } else if byte == UInt8(ascii: "\"") {
          inString = false
        }
        continue
      }
      switch byte {
      case UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: "\t"): continue
      case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
      case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
      case UInt8(ascii: "\""): inString = true
      default: break
      }
      isEmpty = false
      if depth <= 0 { return true }
    }
    return !isEmpty && depth <= 0
  }

  static func parse(_ bytes: [UInt8]) throws(RemoteMemoryError) -> [HandedMapping] {
    var reader = Reader(bytes: bytes)
    var mappings: [HandedMapping] = []
    try reader.expect("[")
    if !reader.take("]") {
      repeat {
        guard mappings.count < HandOver.maxMappings else {
          throw RemoteMemoryError("handed over: more than \(HandOver.maxMappings) mappings")
        }
        mappings.append(try mapping(&reader))
      } while reader.take(",")
      try reader.expect("]")
    }
    try reader.expectEnd()
    try check(mappings)
    return mappings
  }

  /// Whole pages, inside of what 64 bits can say; their order and overlaps are for ``Areas``.
  static func check(_ mappings: [HandedMapping]) throws(RemoteMemoryError) {
    guard !mappings.isEmpty, mappings.count <= HandOver.maxMappings else {
      throw RemoteMemoryError(
        "handed over: 1 to \(HandOver.maxMappings) mappings, not \(mappings.count)")
    }
    for mapping in mappings {
      try Userfaultfd.check(address: mapping.address, length: mapping.length)
      guard mapping.offset % UInt64(Wire.pageBytes) == 0,
        !mapping.offset.addingReportingOverflow(mapping.length).overflow
      else {
        throw RemoteMemoryError("handed over: offset \(mapping.offset) is not of a page")
      }
    }
  }

  private static func mapping(_ reader: inout Reader) throws(RemoteMemoryError) -> HandedMapping {
    var members: [String: UInt64] = [:]
    try reader.expect("{")
    repeat {
      let name = try reader.string()
      try reader.expect(":")
      guard let number = try reader.scalar() else { continue }
      guard members.updateValue(number, forKey: name) == nil else {
        throw RemoteMemoryError("handed over: \"\(name)\" twice in one mapping", code: EPROTO)
      }
    } while reader.take(",")
    try reader.expect("}")
    guard let address = members["base_host_virt_addr"], let length = members["size"],
      let offset = members["offset"]
    else {
      throw RemoteMemoryError(
        "handed over: a mapping needs the numbers base_host_virt_addr, size and offset",
        code: EPROTO)
    }
    let page = members["page_size"] ?? members["page_size_kib"] ?? UInt64(Wire.pageBytes)
    guard page == UInt64(Wire.pageBytes) else {
      throw RemoteMemoryError(
        "handed over: pages of \(page) bytes; only pages of \(Wire.pageBytes) can be served, so"
          + " start the program without huge pages")
    }
    return HandedMapping(address: address, length: length, offset: offset)
  }

  private struct Reader {
    let bytes: [UInt8]
    var at = 0

    private mutating func next() -> UInt8? {
      while at < bytes.count, [0x20, 0x0a, 0x0d, 0x09].contains(bytes[at]) { at += 1 }
      return at < bytes.count ? bytes[at] : nil
    }

    private func wrong(_ wanted: String) -> RemoteMemoryError {
      RemoteMemoryError(
        "handed over: \(wanted) expected at byte \(at) of the message", code: EPROTO)
    }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
      guard next() == UInt8(ascii: character) else { return false }
      at += 1
      return true
    }

    mutating func expect(_ character: Unicode.Scalar) throws(RemoteMemoryError) {
      guard take(character) else { throw wrong("\"\(character)\"") }
    }

    mutating func expectEnd() throws(RemoteMemoryError) {
      guard next() == nil else { throw wrong("the end") }
    }

    /// Escapes stay as they are: no name that counts has one.
    mutating func string() throws(RemoteMemoryError) -> String {
      try expect("\"")
      let start = at
      while at < bytes.count, bytes[at] != UInt8(ascii: "\"") {
        at += bytes[at] == UInt8(ascii: "\\") ? 2 : 1
      }
      guard at < bytes.count else { throw wrong("the end of a string") }
      at += 1
      return String(decoding: bytes[start..<at - 1], as: UTF8.self)
    }

    /// A whole number from 0 up; nil for another value that is neither an object nor an array.
    mutating func scalar() throws(RemoteMemoryError) -> UInt64? {
      let first = next()
      if first == UInt8(ascii: "\"") {
        _ = try string()
        return nil
      }
      let start = at
      while at < bytes.count, isWordByte(bytes[at]) { at += 1 }
      let word = String(decoding: bytes[start..<at], as: UTF8.self)
      if ["true", "false", "null"].contains(word) { return nil }
      guard let number = UInt64(word), first != UInt8(ascii: "+") else {
        throw wrong("a whole number below 2^64")
      }
      return number
    }

    private func isWordByte(_ byte: UInt8) -> Bool {
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
        UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "."), UInt8(ascii: "-"),
        UInt8(ascii: "+"):
        true
      default: false
      }
    }
  }
}
