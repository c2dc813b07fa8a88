// SPDX-License-Identifier: Apache-2.0
import RMAP

/// Sends frames with one of two priorities, by the sockets of one link.
///
/// Where the interface's queue knows priorities, what somebody waits for overtakes the pushes in it; else frames go as they came.
public struct PrioritySender: FrameSink, ~Copyable {
  /// Whether what follows may be overtaken.
  public var isBulk = false
  private var urgent: EthernetSender
  private var bulk: EthernetSender

  /// - Parameter link: one with a `bulkDescriptor`, which must outlive the sender.
  public init(_ link: borrowing EthernetLink) {
    urgent = EthernetSender(socket: link.fileDescriptor, source: link.address)
    bulk = EthernetSender(socket: link.bulkDescriptor, source: link.address)
  }

  /// Of both.
  public var counters: SendCounters { urgent.counters + bulk.counters }

  @inline(__always)
  public mutating func append(
    _ header: Header, payload: UnsafeRawBufferPointer, to peer: MACAddress, mtu: Int
  ) {
    if isBulk {
      bulk.append(header, payload: payload, to: peer, mtu: mtu)
    } else {
      urgent.append(header, payload: payload, to: peer, mtu: mtu)
    }
  }

  public mutating func appendPadded(
    _ header: Header, copying payload: UnsafeRawBufferPointer, to peer: MACAddress, mtu: Int
  ) {
    if isBulk {
      bulk.appendPadded(header, copying: payload, to: peer, mtu: mtu)
    } else {
      urgent.appendPadded(header, copying: payload, to: peer, mtu: mtu)
    }
  }

  /// Sends everything that was appended, as `EthernetSender` does.
  public mutating func flush() {
    urgent.flush()
    bulk.flush()
  }
}
