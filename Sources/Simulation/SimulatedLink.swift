// SPDX-License-Identifier: Apache-2.0
import RMAP

/// One direction of a modelled network: packs messages into frames as a real link does, and gives each
/// frame out when it arrives.
///
/// Frames of two priorities wait for the wire: one that somebody waits for overtakes all pushes that are not on the wire yet, as in
/// the queue of an Ethernet card (`tc`'s pfifo_fast).
struct SimulatedLink: FrameSink, ~Copyable {
  /// A frame that has arrived.
  struct Arrival {
    var from: MACAddress
    var to: MACAddress
    /// What is behind the Ethernet header; valid until the link is used again.
    var bytes: UnsafeRawBufferPointer
  }

  struct Counters {
    var frames: UInt64 = 0
    var bytes: UInt64 = 0
    /// Lost on the way.
    var lost: UInt64 = 0
    /// Dropped because the queue was full.
    var overflowed: UInt64 = 0
  }

  /// Whose frames are being written.
  var source = MACAddress(value: 0)
  /// Whether what is being written may be overtaken.
  var isBulk = false
  private(set) var counters = Counters()
  private let model: LinkModel
  /// How long a full queue takes to empty.
  private let queue_ns: UInt64
  private var random: SplitMix64
  private var urgent: FrameRing
  private var bulk: FrameRing
  /// When the wire has carried all that is under way.
  private var free_ns: UInt64 = 0

  init(_ model: LinkModel, seed: UInt64) {
    self.model = model
    queue_ns = UInt64(Double(model.queue_bytes) * 1e9 / Double(model.rate_bytes_s))
    random = SplitMix64(seed: seed)
    urgent = FrameRing(mtu: model.mtu)
    bulk = FrameRing(mtu: model.mtu)
  }

  // MARK: Sending

  mutating func append(
    _ header: Header, payload: UnsafeRawBufferPointer, to peer: MACAddress, mtu: Int
  ) {
    if isBulk {
      bulk.append(header, payload, from: source, to: peer, mtu: mtu)
    } else {
      urgent.append(header, payload, from: source, to: peer, mtu: mtu)
    }
  }

  mutating func appendPadded(
    _ header: Header, copying payload: UnsafeRawBufferPointer, to peer: MACAddress, mtu: Int
  ) {
    if isBulk {
      bulk.appendPadded(header, payload, from: source, to: peer, mtu: mtu)
    } else {
      urgent.appendPadded(header, payload, from: source, to: peer, mtu: mtu)
    }
  }

  /// Puts what has been appended in the queue for the wire, first what somebody waits for.
  mutating func flush(now_ns: UInt64) {
    urgent.close()
    bulk.close()
    while urgent.underWay < urgent.count {
      let overtaken = firstOvertaken(now_ns: now_ns)
      let before_ns =
        overtaken == bulk.underWay
        ? free_ns
        : bulk[overtaken].pointee.carried_ns - model.wire_ns(bulk[overtaken].pointee.length)
      let record = urgent.start()
      let wire_ns = enter(record, after: before_ns, now_ns: now_ns)
      record.pointee.arrives_ns = max(
        arrival_ns(record.pointee),
        urgent.underWay > 1 ? urgent[urgent.underWay - 2].pointee.arrives_ns : 0)
      for index in overtaken..<bulk.underWay { bulk[index].pointee.carried_ns += wire_ns }
      setArrivals(from: overtaken)
    }
    while bulk.underWay < bulk.count {
      _ = enter(bulk.start(), after: free_ns, now_ns: now_ns)
      setArrivals(from: bulk.underWay - 1)
    }
  }

  /// The first push whose way on the wire has not begun; a token bucket lets go of a frame at once, and so begins with it later.
  private func firstOvertaken(now_ns: UInt64) -> Int {
    var index = bulk.underWay
    while index > 0 {
      let record = bulk[index - 1].pointee
      let held_ns = max(model.burst_ns, model.wire_ns(record.length))
      guard record.carried_ns > now_ns + held_ns else { break }
      index -= 1
    }
    return index
  }

  /// Gives a frame its place on the wire, unless the queue is full.
  ///
  /// - Returns: how long it takes there.
  private mutating func enter(
    _ record: UnsafeMutablePointer<FrameRing.Record>, after before_ns: UInt64, now_ns: UInt64
  ) -> UInt64 {
    let start_ns = max(before_ns, now_ns)
    record.pointee.queued_ns = now_ns
    guard max(free_ns, now_ns) - now_ns <= queue_ns + model.burst_ns else {
      counters.overflowed += 1
      record.pointee.isLost = true
      record.pointee.carried_ns = before_ns
      return 0
    }
    let wire_ns = model.wire_ns(record.pointee.length)
    record.pointee.carried_ns = start_ns + wire_ns
    free_ns = max(free_ns, now_ns) + wire_ns
    record.pointee.jitter_ns = random.upTo(model.jitter_ns)
    record.pointee.isLost = random.chance(model.loss)
    counters.frames += 1
    counters.bytes += UInt64(record.pointee.length)
    if record.pointee.isLost { counters.lost += 1 }
    return wire_ns
  }

  /// Without regard to the frames before it.
  private func arrival_ns(_ record: FrameRing.Record) -> UInt64 {
    // What the bucket holds is ahead of the rate.
    let sent_ns = max(
      record.queued_ns, record.carried_ns - min(record.carried_ns, model.burst_ns))
    return sent_ns + model.latency_ns + record.jitter_ns
  }

  /// Says when pushes arrive; frames of one priority stay in order.
  private mutating func setArrivals(from first: Int) {
    for index in first..<bulk.underWay {
      let before_ns = index > 0 ? bulk[index - 1].pointee.arrives_ns : 0
      bulk[index].pointee.arrives_ns = max(arrival_ns(bulk[index].pointee), before_ns)
    }
  }

  // MARK: Receiving

  /// When the next frame arrives, if it does.
  var next_ns: UInt64 { min(urgent.next_ns, bulk.next_ns) }

  /// Takes the next frame; nil when it was lost.
  mutating func removeFirst() -> Arrival? {
    let (record, bytes) =
      urgent.next_ns <= bulk.next_ns ? urgent.removeFirst() : bulk.removeFirst()
    return record.isLost ? nil : Arrival(from: record.from, to: record.to, bytes: bytes)
  }
}
