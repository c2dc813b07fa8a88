// SPDX-License-Identifier: Apache-2.0

/// A device's latency histogram, as debugfs prints it: lines `read|write LOW_us HIGH_us COUNT`.
public struct LatencyTable: Sendable, Equatable {
  /// Which requests.
  public enum Kind: String, Sendable { case read, write }

  private struct Bucket: Sendable, Equatable {
    var lowUs: UInt64
    var highUs: UInt64
    var count: UInt64
  }

  private var buckets: [Kind: [Bucket]] = [.read: [], .write: []]

  /// The table that `text` holds; lines of another shape are passed over.
  public init(parsing text: String) {
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count == 4, let kind = Kind(rawValue: String(words[0])),
        let lowUs = UInt64(words[1]), let highUs = UInt64(words[2]), let count = UInt64(words[3])
      else { continue }
      buckets[kind]!.append(Bucket(lowUs: lowUs, highUs: highUs, count: count))
    }
  }

  /// What was added to the table since `earlier`, a table of the same device.
  public func since(_ earlier: LatencyTable) -> LatencyTable {
    var difference = self
    for (kind, list) in earlier.buckets {
      var counts: [UInt64: UInt64] = [:]
      for bucket in list { counts[bucket.lowUs] = bucket.count }
      difference.buckets[kind] = buckets[kind]!.map { bucket in
        var bucket = bucket
        let before = counts[bucket.lowUs] ?? 0
        bucket.count = bucket.count >= before ? bucket.count - before : bucket.count
        return bucket
      }
    }
    return difference
  }

  /// The latency in microseconds that `percent` of the requests did not pass: the upper bound of
  /// the bucket. nil without requests.
  public func percentileUs(_ percent: Double, _ kind: Kind) -> UInt64? {
    let sorted = buckets[kind]!.sorted { $0.lowUs < $1.lowUs }
    let total = sorted.reduce(0) { $0 &+ $1.count }
    guard total > 0 else { return nil }
    let rank = max(1, UInt64((Double(total) * percent / 100).rounded(.up)))
    var seen: UInt64 = 0
    for bucket in sorted {
      seen &+= bucket.count
      if seen >= rank { return bucket.highUs }
    }
    return sorted.last?.highUs
  }
}
