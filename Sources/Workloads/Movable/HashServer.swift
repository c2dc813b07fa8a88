// SPDX-License-Identifier: Apache-2.0

/// A hash table with open addressing and linear probing, three quarters full, under the load of a
/// server: five lookups with a Zipf skew of 0.99, of which one in five asks for a key that is not
/// there, an update, an insert and a delete make a step.
///
/// What each answer must be follows from the number of steps alone, with no second table: key
/// number i enters at step i - n, is updated half its life later, and leaves at step i, so that
/// at any time the n keys from the number of the step on are there. Deleting closes the gap by
/// moving later entries back (Knuth, TAOCP 3, 6.4, algorithm R), so there are no tombstones.
struct HashServer: MovableProgram {
  private static let slotsPerPage = pageWords / 2
  private static let keysPerPage = slotsPerPage / 4 * 3
  private static let lookups = 5
  private let parameters: MovableParameters
  private let seed: UInt64
  private let slots: Int
  private let keys: Int
  private let zipf: Zipf
  private(set) var stepsDone = 0
  private var sum: UInt64

  init(_ parameters: MovableParameters) {
    self.parameters = parameters
    seed = mix(parameters.seed)
    slots = parameters.pages * Self.slotsPerPage
    keys = parameters.pages * Self.keysPerPage
    zipf = Zipf(count: keys, exponent: 0.99)
    sum = mix(parameters.seed)
  }

  init(_ state: inout StateReader) throws(BadProgram) {
    self.init(state.parameters)
    stepsDone = try state.number(0...totalSteps, "steps done")
    sum = try state.word()
    try state.end()
  }

  var state: [UInt8] {
    var words = StateWriter(kind, parameters)
    words.append(stepsDone)
    words.append(sum)
    return words.bytes
  }

  var kind: MovableKind { .hash }
  var pages: Int { parameters.pages }
  var fillSteps: Int { pages }
  var totalSteps: Int { pages * (1 + parameters.rounds) }

  // A bijection, so that a key gives its number back.
  @inline(__always) private func key(_ number: Int) -> UInt64 {
    mix(seed &+ UInt64(bitPattern: Int64(number)))
  }

  @inline(__always) private func number(_ key: UInt64) -> Int {
    Int(Int64(bitPattern: unmix(key) &- seed))
  }

  @inline(__always) private func home(_ key: UInt64) -> Int { share(mix(key), of: slots) }

  /// The version of key `number` after `served` steps of service.
  @inline(__always) private func version(_ number: Int, _ served: Int) -> UInt64 {
    number >= keys / 2 && served > number - keys / 2 ? 2 : 1
  }

  // Never 0, which marks an empty slot.
  @inline(__always) private func value(_ key: UInt64, _ version: UInt64) -> UInt64 {
    version &<< 62 | mix(key &+ version &* golden) &>> 2
  }

  mutating func run(
    _ memory: UnsafeMutableRawPointer, steps: Int
  ) throws(WrongData) -> Bool {
    let words = memory.assumingMemoryBound(to: UInt64.self)
    let end = stepsDone + max(0, min(steps, totalSteps - stepsDone))
    while stepsDone < min(end, pages) {
      let first = stepsDone * Self.keysPerPage
      for number in first..<(first + Self.keysPerPage) { try insert(number, words) }
      stepsDone += 1
    }
    while stepsDone < end {
      try serve(stepsDone - pages, words)
      stepsDone += 1
    }
    return stepsDone == totalSteps
  }

  @inline(__always) private mutating func serve(
    _ served: Int, _ words: UnsafeMutablePointer<UInt64>
  ) throws(WrongData) {
    var random = SplitMix64(seed: mix(seed ^ UInt64(served)))
    for lookup in 0..<Self.lookups {
      // A key is as popular as its number modulo n is small; one of each is there at any time.
      // Where it is in memory its hash says.
      let place = zipf.next(&random) - 1
      let number = served + (place + keys - served % keys) % keys
      if lookup == 0 {
        // Left long ago, or yet to come.
        let absent = served & 1 == 0 ? number - keys : number + keys
        if let slot = try find(key(absent), words).slot { throw wrong(slot, key(absent), words) }
      } else {
        let slot = try present(number, served, words)
        sum &+= words[slot * 2 + 1]
      }
    }
    let updated = served + keys / 2
    let slot = try present(updated, served, words)
    words[slot * 2 + 1] = value(key(updated), 2)
    try insert(served + keys, words)
    delete(try present(served, served + 1, words), words)
    sum = Spin.run(parameters.spin, sum)
  }

  /// The slot of `key`, or nil and the empty one where it belongs.
  @inline(__always) private func find(
    _ key: UInt64, _ words: UnsafeMutablePointer<UInt64>
  ) throws(WrongData) -> (slot: Int?, empty: Int) {
    var slot = home(key)
    for _ in 0..<slots {
      if words[slot * 2 + 1] == 0 { return (nil, slot) }
      if words[slot * 2] == key { return (slot, slot) }
      slot = slot + 1 == slots ? 0 : slot + 1
    }
    throw WrongData("the hash table has no empty slot left")
  }

  /// The slot of key `number`, which is there, with the value that it must have.
  @inline(__always) private func present(
    _ number: Int, _ served: Int, _ words: UnsafeMutablePointer<UInt64>
  ) throws(WrongData) -> Int {
    let key = key(number)
    let (slot, empty) = try find(key, words)
    guard let slot else {
      throw WrongData("\(place(empty)): key 0x\(String(key, radix: 16)) is lost")
    }
    guard words[slot * 2 + 1] == value(key, version(number, served)) else {
      throw wrong(slot, key, words, expected: value(key, version(number, served)))
    }
    return slot
  }

  @inline(__always) private func insert(
    _ number: Int, _ words: UnsafeMutablePointer<UInt64>
  ) throws(WrongData) {
    let key = key(number)
    let (slot, empty) = try find(key, words)
    if let slot { throw wrong(slot, key, words) }
    words[empty * 2] = key
    words[empty * 2 + 1] = value(key, 1)
  }

  @inline(__always) private func delete(_ slot: Int, _ words: UnsafeMutablePointer<UInt64>) {
    var gap = slot
    var next = slot
    for _ in 0..<slots {
      next = next + 1 == slots ? 0 : next + 1
      if words[next * 2 + 1] == 0 { break }
      if distance(home(words[next * 2]), next) >= distance(gap, next) {
        words[gap * 2] = words[next * 2]
        words[gap * 2 + 1] = words[next * 2 + 1]
        gap = next
      }
    }
    words[gap * 2] = 0
    words[gap * 2 + 1] = 0
  }

  /// How many slots `to` is after `from`, going round.
  @inline(__always) private func distance(_ from: Int, _ to: Int) -> Int {
    to >= from ? to - from : to - from + slots
  }

  func verify(_ memory: UnsafeMutableRawPointer) throws(WrongData) {
    let words = memory.assumingMemoryBound(to: UInt64.self)
    let served = max(0, stepsDone - pages)
    let there = served..<(served + min(stepsDone, pages) * Self.keysPerPage)
    guard !there.isEmpty else { return }
    var found = 0
    var sumFound: UInt64 = 0
    // An entry is found from its home when no empty slot lies between: seen from the slot before
    // the first, the last empty one is behind the end of the table.
    var empty = slots - 1
    while empty >= 0, words[empty * 2 + 1] != 0 { empty -= 1 }
    guard empty >= 0 else { throw WrongData("the hash table has no empty slot left") }
    empty -= slots
    for slot in 0..<slots {
      let (key, stored) = (words[slot * 2], words[slot * 2 + 1])
      if stored == 0 {
        guard key == 0 else { throw wrong(slot, key, words, expected: 0) }
        empty = slot
        continue
      }
      let number = number(key)
      guard there.contains(number) else { throw wrong(slot, key, words) }
      let expected = value(key, version(number, served))
      guard stored == expected else { throw wrong(slot, key, words, expected: expected) }
      guard distance(home(key), slot) < slot - empty else {
        throw WrongData(
          "\(place(slot)): key 0x\(String(key, radix: 16)) cannot be found from its home")
      }
      found += 1
      sumFound &+= mix(key)
    }
    guard found == there.count else {
      throw WrongData("the hash table has \(found) entries instead of \(there.count)")
    }
    guard sumFound == there.reduce(0, { $0 &+ mix(key($1)) }) else {
      throw WrongData("the hash table has an entry twice and another not at all")
    }
  }

  private func place(_ slot: Int) -> String {
    "page \(slot / Self.slotsPerPage), byte \(slot % Self.slotsPerPage * 16)"
  }

  @inline(never) private func wrong(
    _ slot: Int, _ key: UInt64, _ words: UnsafeMutablePointer<UInt64>, expected: UInt64? = nil
  ) -> WrongData {
    let name = "\(place(slot)): key 0x\(String(key, radix: 16))"
    guard let expected else { return WrongData("\(name) is there and should not be") }
    return WrongData(
      "\(name): expected value 0x\(String(expected, radix: 16)), "
        + "found 0x\(String(words[slot * 2 + 1], radix: 16))")
  }
}
