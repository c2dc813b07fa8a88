// SPDX-License-Identifier: Apache-2.0
import CLibMemx
import Glibc
import RMAP
import RemoteMemory

extension memx_options {
  /// What a caller gave, whose `struct memx_options` may be of another version.
  init(_ options: UnsafePointer<memx_options>?) throws(RemoteMemoryError) {
    guard let options else { throw RemoteMemoryError("options: NULL") }
    let known = MemoryLayout<memx_options>.size
    let size = options.pointee.size
    // Every version begins with the first.
    guard size >= known, size <= 1 << 16 else {
      throw RemoteMemoryError("options.size is \(size): set it to sizeof(struct memx_options)")
    }
    let bytes = UnsafeRawBufferPointer(start: options, count: size)
    guard bytes[known...].allSatisfy({ $0 == 0 }) else {
      throw RemoteMemoryError(
        "options: a member is set that this version of the library does not know", code: E2BIG)
    }
    self = options.pointee
    guard flags & ~UInt32(MEMX_RECORD_TOUCHES) == 0 else {
      throw RemoteMemoryError("options.flags has one that is not known", code: E2BIG)
    }
  }

  func configuration() throws(RemoteMemoryError) -> RemoteMemoryConfiguration {
    guard let link = try Self.text(link, "link"), !link.isEmpty else {
      throw RemoteMemoryError("options.link: name the Ethernet interface")
    }
    guard let regionText = try Self.text(region, "region"), let region = RegionName(regionText)
    else {
      throw RemoteMemoryError("options.region: 1 to 31 of A-Z a-z 0-9 . _ -")
    }
    var configuration = RemoteMemoryConfiguration(link: link, region: region)
    if let text = try Self.text(token, "token") {
      guard let token = Token(text) else {
        throw RemoteMemoryError("options.token: at most \(Wire.tokenBytes) bytes")
      }
      configuration.token = token
    }
    if let text = try Self.text(server, "server") {
      guard let address = MACAddress(text) else {
        throw RemoteMemoryError("options.server: '\(text)' is not like aa:bb:cc:dd:ee:ff")
      }
      configuration.server = address
    }
    configuration.strategy = try Self.text(strategy, "strategy") ?? ""
    configuration.order = try extents()
    configuration.recordsTouches = flags & UInt32(MEMX_RECORD_TOUCHES) != 0
    configuration.rate_bytes_s = rate_bytes_s
    if mtu > 0 { configuration.mtu = Int(mtu) }
    if queue_depth > 0 { configuration.queueDepth = Int(queue_depth) }
    if attach_timeout_ms > 0 { configuration.attachTimeout_ms = Int(attach_timeout_ms) }
    if give_up_ms > 0 { configuration.giveUp_ms = Int(give_up_ms) }
    if busy_poll_us > 0 {
      configuration.busyPoll_us = busy_poll_us == UInt32.max ? 0 : UInt64(busy_poll_us)
    }
    return configuration
  }

  private func extents() throws(RemoteMemoryError) -> [Extent] {
    guard order_count > 0 else { return [] }
    guard let order else {
      throw RemoteMemoryError("options.order: NULL, and order_count is \(order_count)")
    }
    let count = min(order_count, Wire.maxOrderExtents)
    return UnsafeBufferPointer(start: order, count: count).map {
      Extent(slot: $0.slot, count: $0.count)
    }
  }

  private static func text(
    _ pointer: UnsafePointer<CChar>?, _ name: String
  ) throws(RemoteMemoryError) -> String? {
    guard let pointer else { return nil }
    guard let text = String(validatingCString: pointer) else {
      throw RemoteMemoryError("options.\(name): not UTF-8")
    }
    return text
  }
}
