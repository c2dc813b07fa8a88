// SPDX-License-Identifier: Apache-2.0
import Histogram

/// How long touches of swapped-out pages took, in nanoseconds, to two significant digits.
public struct FaultLatency: Sendable {
  private static let longestNs: UInt64 = 1_000_000_000_000
  private var histogram = Histogram<UInt64>(
    highestTrackableValue: FaultLatency.longestNs, numberOfSignificantValueDigits: .two)

  /// No touches.
  public init() {}

  /// Notes one touch of `ns` nanoseconds; more than 1000 s count as 1000 s.
  public mutating func record(_ ns: UInt64) {
    histogram.record(min(ns, Self.longestNs))
  }

  /// Adds the touches of `other`.
  public mutating func add(_ other: FaultLatency) { histogram.add(other.histogram) }

  /// How many touches were noted.
  public var count: UInt64 { histogram.totalCount }

  /// The time in microseconds that `percent` of the touches did not pass; nil without touches.
  public func percentileUs(_ percent: Double) -> Double? {
    count == 0 ? nil : Double(histogram.valueAtPercentile(percent)) / 1000
  }

  /// The longest touch in microseconds; nil without touches.
  public var longestUs: Double? { count == 0 ? nil : Double(histogram.maxRecorded) / 1000 }

  /// The touches as pairs of nanoseconds and count, for a pipe. The last stands for the longest
  /// touch itself, so that the maximum stays exact.
  var pairs: [UInt64] {
    var pairs = histogram.recordedValues().flatMap { [$0.value, $0.count] }
    if !pairs.isEmpty { pairs[pairs.count - 2] = histogram.maxRecorded }
    return pairs
  }

  /// The touches that `pairs` of another process holds.
  init(pairs: some Collection<UInt64>) {
    var iterator = pairs.makeIterator()
    while let ns = iterator.next(), let count = iterator.next() {
      histogram.record(min(ns, Self.longestNs), count: count)
    }
  }
}
