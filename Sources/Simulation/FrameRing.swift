// SPDX-License-Identifier: Apache-2.0
import RMAP

/// Frames of one priority in one direction, in the order in which they were written: those under way, then those that wait for
/// the link's flush, of which the last may be open. Grows as needed.
struct FrameRing: ~Copyable {
  struct Record {
    var from = MACAddress(value: 0)
    var to = MACAddress(value: 0)
    var length = 0
    /// When it came to the wire.
    var queued_ns: UInt64 = 0
    /// When the wire has carried it and all before it.
    var carried_ns: UInt64 = 0
    var jitter_ns: UInt64 = 0
    var arrives_ns: UInt64 = 0
    var isLost = false
  }

  private(set) var count = 0
  /// How many of them are under way.
  private(set) var underWay = 0
  private let mtu: Int
  private var records: UnsafeMutablePointer<Record>
  private var bytes: UnsafeMutableRawPointer
  private var capacity = 64
  private var head = 0
  private var isOpen = false

  init(mtu: Int) {
    self.mtu = mtu
    records = .allocate(capacity: capacity)
    records.initialize(repeating: Record(), count: capacity)
    bytes = .allocate(byteCount: capacity * mtu, alignment: 64)
  }

  deinit {
    records.deallocate()
    bytes.deallocate()
  }

  /// The record of a frame, counted from the oldest.
  subscript(_ index: Int) -> UnsafeMutablePointer<Record> {
    records + ((head + index) & (capacity - 1))
  }

  private func place(_ index: Int) -> UnsafeMutableRawPointer {
    bytes + ((head + index) & (capacity - 1)) * mtu
  }

  // MARK: Writing

  /// Adds a message to the frame under way, or to a new one where it does not fit there or is for somebody else.
  mutating func append(
    _ header: Header, _ payload: UnsafeRawBufferPointer, from: MACAddress, to: MACAddress,
    mtu: Int
  ) {
    let size = Wire.headerBytes + payload.count
    if !isOpen || self[count - 1].pointee.to != to || self[count - 1].pointee.length + size > mtu {
      open(from, to)
    }
    write(header, payload)
  }

  /// Adds a message in a frame of its own, filled up with zeros.
  mutating func appendPadded(
    _ header: Header, _ payload: UnsafeRawBufferPointer, from: MACAddress, to: MACAddress,
    mtu: Int
  ) {
    open(from, to)
    write(header, payload)
    let record = self[count - 1]
    let padding = mtu - record.pointee.length
    if padding > 0 {
      (place(count - 1) + record.pointee.length).initializeMemory(
        as: UInt8.self, repeating: 0, count: padding)
      record.pointee.length = mtu
    }
    close()
  }

  /// The next message begins a frame.
  mutating func close() { isOpen = false }

  private mutating func open(_ from: MACAddress, _ to: MACAddress) {
    if count == capacity { grow() }
    count += 1
    isOpen = true
    self[count - 1].pointee = Record(from: from, to: to)
  }

  private mutating func write(_ header: Header, _ payload: UnsafeRawBufferPointer) {
    let record = self[count - 1]
    let at = place(count - 1) + record.pointee.length
    precondition(record.pointee.length + Wire.headerBytes + payload.count <= mtu)
    at.storeBytes(of: header, as: Header.self)
    if let base = payload.baseAddress {
      (at + Wire.headerBytes).copyMemory(from: base, byteCount: payload.count)
    }
    record.pointee.length += Wire.headerBytes + payload.count
  }

  private mutating func grow() {
    let moved = UnsafeMutablePointer<Record>.allocate(capacity: capacity * 2)
    moved.initialize(repeating: Record(), count: capacity * 2)
    let movedBytes = UnsafeMutableRawPointer.allocate(
      byteCount: capacity * 2 * mtu, alignment: 64)
    for index in 0..<count {
      moved[index] = self[index].pointee
      (movedBytes + index * mtu).copyMemory(
        from: place(index), byteCount: self[index].pointee.length)
    }
    records.deallocate()
    bytes.deallocate()
    (records, bytes, capacity, head) = (moved, movedBytes, capacity * 2, 0)
  }

  // MARK: On the way

  /// Begins the next frame's way.
  ///
  /// - Returns: its record.
  mutating func start() -> UnsafeMutablePointer<Record> {
    underWay += 1
    return self[underWay - 1]
  }

  /// When the oldest frame arrives, if it does.
  var next_ns: UInt64 { underWay == 0 ? .max : self[0].pointee.arrives_ns }

  /// Takes the oldest frame; its bytes stay until the ring is used again.
  mutating func removeFirst() -> (record: Record, bytes: UnsafeRawBufferPointer) {
    precondition(underWay > 0)
    let record = self[0].pointee
    let bytes = UnsafeRawBufferPointer(start: place(0), count: record.length)
    head = (head + 1) & (capacity - 1)
    count -= 1
    underWay -= 1
    return (record, bytes)
  }
}
