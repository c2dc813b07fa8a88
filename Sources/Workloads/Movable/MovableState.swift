// SPDX-License-Identifier: Apache-2.0
import CMemx

// A program's state is little-endian 64-bit words: magic and version, kind (its place among all
// kinds), pages, seed, rounds, spin, then the kind's own words, and the XXH64 of all before.

private let magic: UInt64 = 0x3153_5650_584d_454d  // "MEMXPVS1"
private let headWords = 6

/// Writes a program's state.
struct StateWriter {
  private var words: [UInt64]

  init(_ kind: MovableKind, _ parameters: MovableParameters) {
    words = [
      magic, UInt64(MovableKind.allCases.firstIndex(of: kind)!), UInt64(parameters.pages),
      parameters.seed, UInt64(parameters.rounds), UInt64(parameters.spin),
    ]
  }

  mutating func append(_ word: UInt64) { words.append(word) }
  mutating func append(_ number: Int) { words.append(UInt64(number)) }

  /// The state's bytes.
  var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity((words.count + 1) * 8)
    func put(_ word: UInt64) {
      for shift in 0..<8 { bytes.append(UInt8(word >> (shift * 8) & 255)) }
    }
    for word in words { put(word) }
    put(memx_xxh64(bytes, bytes.count, 0))
    return bytes
  }
}

/// Reads a program's state, word by word.
struct StateReader {
  let kind: MovableKind
  let parameters: MovableParameters
  private let words: [UInt64]
  private var next = headWords

  /// - Throws: ``BadProgram`` when the bytes are not a state, whole and unchanged.
  init(_ bytes: [UInt8]) throws(BadProgram) {
    guard bytes.count % 8 == 0, bytes.count >= (headWords + 1) * 8, bytes.count <= 1 << 16 else {
      throw BadProgram("\(bytes.count) bytes are not the state of a program")
    }
    var words: [UInt64] = []
    for start in Swift.stride(from: 0, to: bytes.count, by: 8) {
      words.append((0..<8).reduce(0) { $0 | UInt64(bytes[start + $1]) << UInt64($1 * 8) })
    }
    guard words[0] == magic else {
      throw BadProgram("the state of a program starts in another way or is of another version")
    }
    guard words.removeLast() == memx_xxh64(bytes, bytes.count - 8, 0) else {
      throw BadProgram("the state of a program is damaged: its checksum does not match")
    }
    guard words[1] < UInt64(MovableKind.allCases.count) else {
      throw BadProgram("the state is of a program of unknown kind \(words[1])")
    }
    kind = MovableKind.allCases[Int(words[1])]
    parameters = MovableParameters(
      pages: Int(clamping: words[2]), seed: words[3], rounds: Int(clamping: words[4]),
      spin: Int(clamping: words[5]))
    if let fault = parameters.fault { throw BadProgram("the state is of a program with \(fault)") }
    self.words = words
  }

  /// The next word.
  mutating func word() throws(BadProgram) -> UInt64 {
    guard next < words.count else { throw BadProgram("the state of a program ends early") }
    defer { next += 1 }
    return words[next]
  }

  /// The next word as a number in `range`; `name` says what of.
  mutating func number(_ range: ClosedRange<Int>, _ name: String) throws(BadProgram) -> Int {
    let word = try word()
    guard let number = Int(exactly: word), range.contains(number) else {
      throw BadProgram("the state of a program has \(word) for its \(name)")
    }
    return number
  }

  /// - Throws: ``BadProgram`` when there are words left.
  func end() throws(BadProgram) {
    guard next == words.count else { throw BadProgram("the state of a program is too long") }
  }
}
