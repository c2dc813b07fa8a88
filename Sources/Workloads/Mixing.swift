// SPDX-License-Identifier: Apache-2.0

/// The finalizer of SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number
/// Generators", OOPSLA 2014): a bijection of 64-bit words that spreads every bit over all.
@inline(__always) func mix(_ value: UInt64) -> UInt64 {
  var z = value
  z = (z ^ (z &>> 30)) &* 0xbf58_476d_1ce4_e5b9
  z = (z ^ (z &>> 27)) &* 0x94d0_49bb_1331_11eb
  return z ^ (z &>> 31)
}

/// The inverse of ``mix(_:)``.
@inline(__always) func unmix(_ value: UInt64) -> UInt64 {
  var z = value
  z = (z ^ (z &>> 31) ^ (z &>> 62)) &* 0x3196_42b2_d24d_8ec3
  z = (z ^ (z &>> 27) ^ (z &>> 54)) &* 0x96de_1b17_3f11_9089
  return z ^ (z &>> 30) ^ (z &>> 60)
}

/// What SplitMix64 adds to its state at each step: 2⁶⁴ over the golden ratio, odd.
let golden: UInt64 = 0x9e37_79b9_7f4a_7c15

/// SplitMix64: every seed gives another sequence, and the same seed the same one anywhere.
struct SplitMix64 {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  @inline(__always) mutating func next() -> UInt64 {
    state = state &+ golden
    return mix(state)
  }
}
