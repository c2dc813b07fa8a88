// SPDX-License-Identifier: Apache-2.0

/// A permutation of the numbers below `count` with no table: multiplications and shifts, which can
/// be undone, mix the numbers below the next power of two, and what falls outside goes round again
/// (cycle walking: Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002).
struct Shuffle {
  private let count: UInt64
  private let mask: UInt64
  private let shift: UInt64
  private let seed: UInt64

  init(count: Int, seed: UInt64) {
    precondition(count > 0)
    let bits = count == 1 ? 0 : 64 - (count - 1).leadingZeroBitCount
    self.count = UInt64(count)
    mask = (1 << UInt64(bits)) - 1
    shift = UInt64(bits / 2 + 1)
    self.seed = mix(seed)
  }

  /// The place of `number`, which is below the count.
  @inline(__always) func place(_ number: Int) -> Int {
    var x = UInt64(truncatingIfNeeded: number)
    repeat {
      x = (x &+ seed) &* 0xbf58_476d_1ce4_e5b9 & mask
      x ^= x &>> shift
      x = x &* 0x94d0_49bb_1331_11eb & mask
      x ^= x &>> shift
      x = x &* golden & mask
    } while x >= count
    return Int(truncatingIfNeeded: x)
  }
}
