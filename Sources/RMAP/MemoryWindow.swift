// SPDX-License-Identifier: Apache-2.0
import CRMAP

/// A region's memory as a client over RDMA may reach it: `struct rmap_window`.
public struct MemoryWindow: Sendable, Equatable {
  /// Where slot 0 is.
  public var address: UInt64
  public var slots: UInt64
  /// The remote key.
  public var key: UInt32

  public init(address: UInt64, slots: UInt64, key: UInt32) {
    self.address = address
    self.slots = slots
    self.key = key
  }

  /// Reads the payload of the reply to WINDOW.
  public init?(_ payload: UnsafeRawBufferPointer) {
    guard payload.count == Int(RMAP_WINDOW_BYTES) else { return nil }
    let raw = payload.loadUnaligned(as: rmap_window.self)
    address = UInt64(littleEndian: raw.address)
    slots = UInt64(littleEndian: raw.slots)
    key = UInt32(littleEndian: raw.key)
  }

  /// The payload.
  public var raw: rmap_window {
    rmap_window(
      address: address.littleEndian, slots: slots.littleEndian, key: key.littleEndian, reserved: 0)
  }

  /// Where a slot is.
  @inlinable
  public func address(of slot: UInt64) -> UInt64 { address &+ slot &* UInt64(Wire.pageBytes) }
}
