// SPDX-License-Identifier: Apache-2.0
import Console

/// Arithmetic that takes time and no memory: a chain of multiplications, each of which needs the
/// one before, about four cycles an iteration on today's processors.
public enum Spin {
  /// Goes on from `value` for `iterations` iterations.
  @inline(never) static func run(_ iterations: Int, _ value: UInt64) -> UInt64 {
    var x = value
    // The shift keeps a compiler from folding several iterations into one.
    for _ in 0..<iterations { x = (x ^ (x &>> 32)) &* golden }
    return x
  }

  /// How many iterations take `us` microseconds here, from the quickest of a few tries. The number
  /// is part of a program's parameters, so that it does the same work wherever it goes.
  public static func iterations(us: Double) -> Int {
    var quickestNs = UInt64.max
    var value: UInt64 = 1
    let tried = 20_000
    for _ in 0..<16 {
      let start = monotonicNs()
      value = run(tried, value)
      quickestNs = min(quickestNs, monotonicNs() &- start)
    }
    let perUs = Double(tried) * 1000 / Double(max(1, quickestNs))
    return max(0, min(MovableParameters.spinMax, Int((us * perUs).rounded())))
  }
}
