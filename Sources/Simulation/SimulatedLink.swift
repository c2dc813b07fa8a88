// SPDX-License-Identifier: Apache-2.0
import RMAP

/// One direction of a modelled network: packs messages into frames as a real link does, and gives each
/// frame out when it arrives.
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

  private struct Record {
    var from = MACAddress(value: 0)
    var to = MACAddress(value: 0)
    var length = 0
    var arrives_ns: UInt64 = 0
    var isLost = false
  }

  /// Whose frames are being written.
  var source = MACAddress(value: 0)
  private(set) var counters = Counters()
  private let model: LinkModel
  /// How long a full queue takes to empty.
  private let queue_ns: UInt64
  private var random: SplitMix64
  /// A ring: the frames under way, then those that wait for `flush`, of which the last may be open.
  private var records: UnsafeMutablePointer<Record>
  private var bytes: UnsafeMutableRawPointer
  private var capacity = 256
  private var head = 0
  private var count = 0
  private var underWay = 0
  private var isOpen = false
  private var free_ns: UInt64 = 0
  private var last_ns: UInt64 = 0

  init(_ model: LinkModel, seed: UInt64) {
    self.model = model
    queue_ns = UInt64(Double(model.queue_bytes) * 1e9 / Double(model.rate_bytes_s))
    random = SplitMix64(seed: seed)
    records = .allocate(capacity: capacity)
    records.initialize(repeating: Record(), count: capacity)
    bytes = .allocate(byteCount: capacity * model.mtu, alignment: 64)
  }

  deinit {
    records.deallocate()
    bytes.deallocate()
  }

  // MARK: Sending

  mutating func append(
    _ header: Header, payload: UnsafeRawBufferPointer, to peer: MACAddress, mtu: Int
  ) {
    let size = Wire.headerBytes + payload.count
    if !isOpen || records[tail].to != peer || records[tail].length + size > mtu { open(peer) }
    write(header, payload)
  }

  mutating func appendPadded(
    _ header: Header, copying payload: UnsafeRawBufferPointer, to peer: MACAddress, mtu: Int
  ) {
    open(peer)
    write(header, payload)
    let padding = mtu - records[tail].length
    if padding > 0 {
      (place(tail) + records[tail].length).initializeMemory(
        as: UInt8.self, repeating: 0, count: padding)
      records[tail].length = mtu
    }
    isOpen = false
  }

  private var tail: Int { (head + count - 1) & (capacity - 1) }

  private func place(_ index: Int) -> UnsafeMutableRawPointer { bytes + index * model.mtu }

  private mutating func open(_ peer: MACAddress) {
    if count == capacity { grow() }
    count += 1
    isOpen = true
    records[tail] = Record(from: source, to: peer)
  }

  private mutating func write(_ header: Header, _ payload: UnsafeRawBufferPointer) {
    let at = place(tail) + records[tail].length
    precondition(records[tail].length + Wire.headerBytes + payload.count <= model.mtu)
    at.storeBytes(of: header, as: Header.self)
    if let base = payload.baseAddress {
      (at + Wire.headerBytes).copyMemory(from: base, byteCount: payload.count)
    }
    records[tail].length += Wire.headerBytes + payload.count
  }

  private mutating func grow() {
    let moved = UnsafeMutablePointer<Record>.allocate(capacity: capacity * 2)
    moved.initialize(repeating: Record(), count: capacity * 2)
    let movedBytes = UnsafeMutableRawPointer.allocate(
      byteCount: capacity * 2 * model.mtu, alignment: 64)
    for index in 0..<count {
      let from = (head + index) & (capacity - 1)
      moved[index] = records[from]
      (movedBytes + index * model.mtu).copyMemory(
        from: place(from), byteCount: records[from].length)
    }
    records.deallocate()
    bytes.deallocate()
    (records, bytes, capacity, head) = (moved, movedBytes, capacity * 2, 0)
  }

  /// Puts what has been appended in the queue for the wire.
  mutating func flush(now_ns: UInt64) {
    isOpen = false
    while underWay < count {
      let at = records + ((head + underWay) & (capacity - 1))
      underWay += 1
      let start_ns = max(free_ns, now_ns)
      if start_ns - now_ns > queue_ns + model.burst_ns {
        counters.overflowed += 1
        at.pointee.isLost = true
        at.pointee.arrives_ns = last_ns
        continue
      }
      free_ns = start_ns + model.wire_ns(at.pointee.length)
      // What the bucket holds is ahead of the rate.
      let sent_ns = max(now_ns, free_ns - min(free_ns, model.burst_ns))
      let arrives_ns = sent_ns + model.latency_ns + random.upTo(model.jitter_ns)
      last_ns = max(last_ns, arrives_ns)
      at.pointee.arrives_ns = last_ns
      at.pointee.isLost = random.chance(model.loss)
      counters.frames += 1
      counters.bytes += UInt64(at.pointee.length)
      if at.pointee.isLost { counters.lost += 1 }
    }
  }

  // MARK: Receiving

  /// When the next frame arrives, if it does.
  var next_ns: UInt64 { underWay == 0 ? .max : records[head].arrives_ns }

  /// Takes the next frame; nil when it was lost.
  mutating func removeFirst() -> Arrival? {
    precondition(underWay > 0)
    let record = records[head]
    let bytes = UnsafeRawBufferPointer(start: place(head), count: record.length)
    head = (head + 1) & (capacity - 1)
    count -= 1
    underWay -= 1
    return record.isLost ? nil : Arrival(from: record.from, to: record.to, bytes: bytes)
  }
}
