// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Ranks 1…n where rank k comes up with a probability proportional to 1/k^s, by
/// rejection-inversion (Hörmann and Derflinger, "Rejection-inversion to generate variates from
/// monotone discrete distributions", ACM TOMACS 6(3), 1996): no table, the same time for any n.
struct Zipf {
  private let exponent: Double
  private let count: Double
  private let hFirst: Double
  private let hLast: Double
  private let accept: Double

  /// Ranks up to `count` with the skew `exponent`, which is above 0 and not 1.
  init(count: Int, exponent: Double) {
    precondition(count > 0 && exponent > 0 && exponent != 1)
    self.exponent = exponent
    self.count = Double(count)
    func h(_ x: Double) -> Double { (pow(x, 1 - exponent) - 1) / (1 - exponent) }
    func inverse(_ y: Double) -> Double { pow(1 + y * (1 - exponent), 1 / (1 - exponent)) }
    hFirst = h(1.5) - 1
    hLast = h(Double(count) + 0.5)
    accept = 2 - inverse(h(2.5) - pow(2, -exponent))
  }

  /// The next rank.
  @inline(__always) func next(_ random: inout SplitMix64) -> Int {
    while true {
      // 53 bits, as many as a Double holds.
      let uniform = Double(random.next() &>> 11) * 0x1p-53
      let u = hLast + uniform * (hFirst - hLast)
      let x = pow(1 + u * (1 - exponent), 1 / (1 - exponent))
      let rank = max(1, min(count, (x + 0.5).rounded(.down)))
      let h = (pow(rank + 0.5, 1 - exponent) - 1) / (1 - exponent)
      if rank - x <= accept || u >= h - pow(rank, -exponent) { return Int(rank) }
    }
  }
}
