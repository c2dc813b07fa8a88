// SPDX-License-Identifier: Apache-2.0
import CMemx
import Glibc
import RMAP
import SystemPackage

/// Why a link cannot be used: what was wrong, where, and what to do.
public struct LinkError: Error, CustomStringConvertible, Sendable {
  public let description: String
  /// The errno value behind it.
  public let code: Int32

  init(_ description: String, code: Int32) {
    self.description = description
    self.code = code
  }
}

/// Frames of the RMAP EtherType on one Ethernet interface, received through a ring that is shared with
/// the kernel.
public struct EthernetLink: ~Copyable {
  /// One received frame, valid until the next call of `next`.
  public struct Frame {
    /// What is behind the Ethernet header.
    public let bytes: UnsafeRawBufferPointer
    public let source: MACAddress
    /// Sent to a broadcast or multicast address.
    public let toGroup: Bool
  }

  /// The interface's name.
  public let name: String
  /// The interface's address.
  public let address: MACAddress
  /// Bytes behind the Ethernet header, at most `Wire.maxMTU`.
  public let mtu: Int
  /// Frames that the receive ring holds.
  public var ringFrames: Int { Int(packet.pointee.frame_count) }
  /// The socket, for `poll`. What it sends goes first wherever the interface's queue (`tc`'s pfifo_fast, prio, mqprio, …)
  /// knows priorities: TC_PRIO_INTERACTIVE.
  public var fileDescriptor: Int32 { packet.pointee.fd }
  /// A socket that only sends, what nobody waits for: TC_PRIO_BULK. -1 where none was asked for.
  public var bulkDescriptor: Int32 { packet.pointee.bulk_fd }

  /// The interface's MTU when it was opened, which `mtu` may be below.
  private let openedMTU: Int
  private let packet: UnsafeMutablePointer<memx_packet>
  private var index: UInt32 = 0
  private var held = false

  /// Opens the interface.
  ///
  /// - Parameters:
  ///   - name: of the interface.
  ///   - ringFrames: frames to hold when nobody reads them; the ring takes so many times the MTU of
  ///     locked kernel memory.
  ///   - mtu: 0 for the interface's.
  ///   - pushes: whether `bulkDescriptor` is wanted.
  public init(
    _ name: String, ringFrames: Int = 4096, mtu: Int = 0, pushes: Bool = false
  ) throws(LinkError) {
    let packet = UnsafeMutablePointer<memx_packet>.allocate(capacity: 1)
    packet.initialize(to: memx_packet())
    do throws(LinkError) {
      try Self.open(packet, name, ringFrames: ringFrames, mtu: mtu, pushes: pushes)
    } catch {
      packet.deallocate()
      throw error
    }
    self.packet = packet
    self.name = name
    self.mtu = Int(packet.pointee.mtu)
    openedMTU = max(0, Int(memx_packet_mtu(packet)))
    address = withUnsafeBytes(of: packet.pointee.address) { MACAddress(at: $0.baseAddress!) }
  }

  private static func open(
    _ packet: UnsafeMutablePointer<memx_packet>, _ name: String, ringFrames: Int, mtu: Int,
    pushes: Bool
  ) throws(LinkError) {
    var step: UnsafePointer<CChar>?
    let limit = Int32(mtu == 0 ? Wire.maxMTU : min(mtu, Wire.maxMTU))
    var code = memx_packet_open(packet, name, Wire.etherType, UInt32(ringFrames), limit, &step)
    if code == 0, pushes { code = memx_packet_open_bulk(packet, &step) }
    guard code == 0 else {
      let what = step.map { String(cString: $0) } ?? "open"
      throw LinkError("link \(name): cannot \(what): \(Errno(rawValue: code))", code: code)
    }
    guard packet.pointee.mtu >= Wire.minMTU else {
      memx_packet_close(packet)
      throw LinkError(
        "link \(name): its MTU is \(packet.pointee.mtu); RMAP needs at least \(Wire.minMTU)",
        code: EINVAL)
    }
  }

  deinit {
    memx_packet_close(packet)
    packet.deallocate()
  }

  /// Has a frame come in?
  @inline(__always)
  public var isReady: Bool {
    memx_packet_ready(packet, held ? following : index)
  }

  private var following: UInt32 { index + 1 == packet.pointee.frame_count ? 0 : index + 1 }

  /// The next frame that has come in, or nil. Gives the one before back to the kernel.
  @inline(__always)
  public mutating func next() -> Frame? {
    if held {
      memx_packet_release(packet, index)
      index = following
      held = false
    }
    while memx_packet_ready(packet, index) {
      var length: UInt32 = 0
      let bytes = UnsafeRawPointer(memx_packet_bytes(packet, index, &length)!)
      let destination = MACAddress(at: bytes)
      // A promiscuous interface also takes in what is for others.
      guard length > 14, destination.isGroup || destination == address else {
        memx_packet_release(packet, index)
        index = following
        continue
      }
      held = true
      return Frame(
        bytes: UnsafeRawBufferPointer(start: bytes + 14, count: Int(length) - 14),
        source: MACAddress(at: bytes + 6), toGroup: destination.isGroup)
    }
    return nil
  }

  /// Frames that the ring had no room for since the last call.
  public mutating func takeDrops() -> Int { Int(memx_packet_take_drops(packet)) }

  /// Is the interface up, with a carrier? nil when it is gone.
  public var isUp: Bool? {
    let answer = memx_packet_link_up(packet)
    return answer < 0 ? nil : answer == 1
  }

  /// Has the interface's MTU, as far as RMAP can use it, changed since the link was opened? The ring's
  /// frames are as long as the MTU was then.
  public var hasNewMTU: Bool {
    let now = Int(memx_packet_mtu(packet))
    return now >= 0 && min(now, Wire.maxMTU) != min(openedMTU, Wire.maxMTU)
  }

  /// Waits until a frame comes in, another descriptor is readable, or the time is over.
  ///
  /// - Parameters:
  ///   - timeout_ms: -1 for ever.
  ///   - wake: a descriptor (an eventfd, say) that ends the wait; -1 for none.
  public func wait(timeout_ms: Int32, wake: Int32 = -1) {
    wait(timeout_ns: timeout_ms < 0 ? .max : UInt64(timeout_ms) * 1_000_000, wake: wake)
  }

  /// Waits until a frame comes in, another descriptor is readable, or the time is over.
  ///
  /// - Parameters:
  ///   - timeout_ns: `.max` for ever; as fine as the thread's timer slack allows.
  ///   - wake: a descriptor that ends the wait; -1 for none.
  /// - Returns: whether `wake` is readable.
  @discardableResult
  public func wait(timeout_ns: UInt64, wake: Int32 = -1) -> Bool {
    var descriptors = (
      pollfd(fd: packet.pointee.fd, events: Int16(POLLIN), revents: 0),
      pollfd(fd: wake, events: Int16(POLLIN), revents: 0)
    )
    withUnsafeMutableBytes(of: &descriptors) { bytes in
      let polled = bytes.baseAddress!.assumingMemoryBound(to: pollfd.self)
      _ = memx_poll(polled, 2, timeout_ns)
      takeError(polled.pointee.revents)
    }
    return descriptors.1.revents != 0
  }

  /// Clears the error that `poll` reports of `fileDescriptor`: left where it is, it would end every wait at once.
  ///
  /// - Parameter revents: what `poll` said.
  @inline(__always)
  public func takeError(_ revents: Int16) {
    if revents & Int16(POLLERR) != 0 { _ = memx_packet_take_error(packet) }
  }
}
