// SPDX-License-Identifier: Apache-2.0

/// A hash table with open addressing and linear probing, three quarters full, that is asked for
/// keys with a Zipf skew of 0.99 (that of YCSB's "zipfian"): three gets and a put in four.
///
/// Compressible entries have seven copies of the value where others have one.
///
/// A value is its key's checksum under a version that each put makes one higher, and the sum of a
/// mixing of all entries is kept outside the table. A get of a damaged entry fails at once; an
/// entry of an earlier version, which looks whole, shows in the sum at the end.
public struct HashTable: Workload, ~Copyable {
  private static let operationsPerPage = 8
  /// Words of an entry: key, value, and copies of the value.
  private let slotWords: Int
  private let memory: MappedMemory
  private let seed: UInt64
  private let slots: Int
  private let keys: Int
  private let zipf: Zipf
  private var sum: UInt64 = 0

  public static func units(pages: Int, passes: Int) -> Int { pages * (passes + 2) }

  public init(_ memory: consuming MappedMemory, seed: UInt64, compressible: Bool) {
    slotWords = compressible ? 8 : 2
    slots = memory.pages * (pageWords / slotWords)
    keys = slots / 4 * 3
    zipf = Zipf(count: keys, exponent: 0.99)
    self.memory = memory
    self.seed = mix(seed)
  }

  // A hash is `mix(key)`, and a slot the hash's share of the table (Lemire's multiply-shift).
  // Keys are made from evenly spaced hashes, jittered, by the inverse: the table is hashed into
  // as by any other keys, but filling it goes through memory in order, one fault a page.
  @inline(__always) private func key(_ index: Int) -> UInt64 {
    let step = UInt64.max / UInt64(keys)
    let jitter = mix(seed &+ UInt64(truncatingIfNeeded: index)) % step
    return unmix(UInt64(truncatingIfNeeded: index) &* step &+ jitter)
  }

  @inline(__always) private func home(_ key: UInt64) -> Int {
    Int(truncatingIfNeeded: mix(key).multipliedFullWidth(by: UInt64(slots)).high)
  }

  @inline(__always) private static func value(_ key: UInt64, version: UInt64) -> UInt64 {
    (version &<< 48) | (mix(key ^ (version &* golden)) &>> 16)
  }

  @inline(__always) private static func entry(_ key: UInt64, _ value: UInt64) -> UInt64 {
    mix(key) &+ mix(value ^ golden)
  }

  /// The slot of `key`, or the empty one where it belongs. The first access is timed unless the
  /// caller knows its page to be there, and each that comes to another page is.
  @inline(__always) private func find(
    _ key: UInt64, from home: Int, timed: Bool, _ meter: inout Meter
  ) -> Int {
    var slot = home
    let first = memory.words + slot * slotWords
    var found = timed ? meter.load(first) : first.pointee
    // A slot is empty when its value is 0, which no entry has: versions start at 1.
    // Damaged memory may have no empty slot left, so the search ends after a round.
    var left = slots
    while found != key, memory.words[slot * slotWords + 1] != 0, left > 0 {
      left &-= 1
      slot = slot + 1 == slots ? 0 : slot + 1
      let word = memory.words + slot * slotWords
      found = slot & (pageWords / slotWords - 1) == 0 ? meter.load(word) : word.pointee
    }
    return slot
  }

  @inline(__always) private func put(_ value: UInt64, in slot: Int) {
    let words = memory.words + slot * slotWords
    for index in 1..<slotWords { words[index] = value }
  }

  public mutating func fill(_ meter: inout Meter) {
    var lastPage = -1
    for index in 0..<keys {
      let key = key(index)
      let home = home(key)
      let page = home / (pageWords / slotWords)
      let value = Self.value(key, version: 1)
      let slot = find(key, from: home, timed: page != lastPage, &meter)
      if page != lastPage { meter.advance(1) }
      lastPage = page
      memory.words[slot * slotWords] = key
      put(value, in: slot)
      sum &+= Self.entry(key, value)
    }
  }

  public mutating func work(pass: Int, _ meter: inout Meter) throws(WrongData) {
    var random = SplitMix64(seed: seed &+ mix(UInt64(truncatingIfNeeded: pass &+ 1)))
    // Ranks are spread over the table: this prime divides no number of keys below it.
    let spread: UInt64 = 4_294_967_291
    for operation in 1...(memory.pages * Self.operationsPerPage) {
      let rank = UInt64(zipf.next(&random))
      let key = key(Int((rank &* spread) % UInt64(keys)))
      let slot = find(key, from: home(key), timed: true, &meter)
      let value = memory.words[slot * slotWords + 1]
      try check(slot, key, memory.words[slot * slotWords], value)
      if random.next() & 3 == 0 {
        // Versions go round before their 16 bits are full, and never to 0.
        let version = (value &>> 48) % 0xffff + 1
        let new = Self.value(key, version: version)
        put(new, in: slot)
        sum = sum &- Self.entry(key, value) &+ Self.entry(key, new)
      }
      if operation % Self.operationsPerPage == 0 { meter.advance(1) }
    }
  }

  public mutating func verify(_ meter: inout Meter) throws(WrongData) {
    var found = 0
    var sumFound: UInt64 = 0
    for page in 0..<memory.pages {
      let words = memory.words + page * pageWords
      _ = meter.load(words)
      for index in stride(from: 0, to: pageWords, by: slotWords)
      where words[index + 1] != 0 {
        let (key, value) = (words[index], words[index + 1])
        try check(page * (pageWords / slotWords) + index / slotWords, key, key, value)
        found += 1
        sumFound &+= Self.entry(key, value)
      }
      meter.advance(1)
    }
    guard found == keys else {
      throw WrongData("the hash table has \(found) entries instead of \(keys)")
    }
    guard sumFound == sum else {
      throw WrongData("an entry of the hash table has a value that was overwritten earlier")
    }
  }

  @inline(__always) private func check(
    _ slot: Int, _ key: UInt64, _ keyFound: UInt64, _ value: UInt64
  ) throws(WrongData) {
    let words = memory.words + slot * slotWords
    var difference = keyFound ^ key | value ^ Self.value(key, version: value &>> 48)
    for index in 2..<slotWords { difference |= words[index] ^ value }
    if difference != 0 || value == 0 {
      throw wrong(slot, key, keyFound, value)
    }
  }

  @inline(never) private func wrong(
    _ slot: Int, _ key: UInt64, _ keyFound: UInt64, _ value: UInt64
  ) -> WrongData {
    let word = slot * slotWords
    let place = "page \(word / pageWords), byte \(word % pageWords * 8)"
    return keyFound == key && value != 0
      ? WrongData("\(place): key 0x\(String(key, radix: 16)) has a damaged value")
      : WrongData("\(place): key 0x\(String(key, radix: 16)) is lost")
  }
}
