// SPDX-License-Identifier: Apache-2.0
import CMemx
import Glibc
import Links
import RMAP

/// A range of a program's memory as it is handed over.
public struct HandedMapping: Equatable, Sendable {
  /// Where it begins in the program's address space.
  public var address: UInt64
  /// In bytes.
  public var length: UInt64
  /// Where its contents begin in the region, in bytes.
  public var offset: UInt64

  public init(address: UInt64, length: UInt64, offset: UInt64) {
    self.address = address
    self.length = length
    self.offset = offset
  }

  /// Its area in a service.
  ///
  /// - Parameters:
  ///   - userfaultfd: an index of the service's table.
  ///   - firstSlot: the slot of offset 0.
  public func area(userfaultfd: Int, firstSlot: UInt64 = 0) -> Area {
    let page = UInt64(Wire.pageBytes)
    return Area(
      userfaultfd: userfaultfd, address: address, firstSlot: firstSlot + offset / page,
      pages: length / page)
  }
}

/// A userfaultfd with the ranges that are registered with it, handed from process to process over a Unix
/// stream socket.
///
/// The message is the one that Firecracker sends to its page-fault handler: a JSON array of objects
/// `{"base_host_virt_addr":N,"size":N,"offset":N,"page_size":N}`, all in bytes, and the descriptor beside it
/// (SCM_RIGHTS). `page_size` must be 4096 and may be left out; older senders call it `page_size_kib`, also
/// in bytes. Other members are passed over.
public struct HandOver: ~Copyable {
  /// The longest message.
  public static var maxBytes: Int { 65_536 }
  /// The most mappings.
  public static var maxMappings: Int { 512 }

  public let userfaultfd: Userfaultfd
  public let mappings: [HandedMapping]

  public init(_ userfaultfd: consuming Userfaultfd, mappings: [HandedMapping]) {
    self.userfaultfd = userfaultfd
    self.mappings = mappings
  }

  /// The userfaultfd, to be put into a service's table.
  public consuming func take() -> Userfaultfd { userfaultfd }

  /// - Throws: when a message with these mappings would not be taken: see above.
  public static func check(_ mappings: [HandedMapping]) throws(RemoteMemoryError) {
    try HandOverText.check(mappings)
  }

  /// Sends `userfaultfd`, whose ranges are registered, to the process at the other end.
  public static func send(
    _ userfaultfd: borrowing Userfaultfd, mappings: [HandedMapping], over socket: Int32
  ) throws(RemoteMemoryError) {
    try HandOverText.check(mappings)
    var bytes = Array(HandOverText.make(mappings).utf8)[...]
    while !bytes.isEmpty {
      let descriptor = bytes.startIndex == 0 ? userfaultfd.fileDescriptor : -1
      let sent = bytes.withUnsafeBytes {
        memx_descriptor_send(socket, $0.baseAddress, $0.count, descriptor)
      }
      guard sent > 0 else { throw .system("cannot hand the userfaultfd over", Int32(-sent)) }
      bytes = bytes.dropFirst(sent)
    }
  }

  /// Receives what a process at the other end sends. Keep the socket: its end is the only sign that the
  /// process has gone.
  ///
  /// - Parameter timeout_ms: how long to wait for the whole message.
  /// - Throws: when the message is late, too long, has no descriptor, or says what cannot be served.
  public static func receive(
    from socket: Int32, timeout_ms: Int32
  ) throws(RemoteMemoryError) -> HandOver {
    var descriptor: Int32 = -1
    do throws(RemoteMemoryError) {
      let text = try receiveText(from: socket, timeout_ms: timeout_ms, &descriptor)
      let mappings = try HandOverText.parse(text)
      guard descriptor >= 0 else {
        throw RemoteMemoryError("handed over: mappings without a descriptor", code: EPROTO)
      }
      return HandOver(try Userfaultfd(adopting: descriptor), mappings: mappings)
    } catch {
      if descriptor >= 0 { close(descriptor) }
      throw error
    }
  }

  private static func receiveText(
    from socket: Int32, timeout_ms: Int32, _ descriptor: inout Int32
  ) throws(RemoteMemoryError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: maxBytes)
    var count = 0
    let end_ns = monotonic_ns() + UInt64(max(0, timeout_ms)) * 1_000_000
    while !HandOverText.isWhole(bytes[..<count]) {
      guard count < maxBytes else {
        throw RemoteMemoryError(
          "handed over: a message of more than \(maxBytes) bytes", code: EPROTO)
      }
      let now_ns = monotonic_ns()
      let left_ms = now_ns < end_ns ? Int32((end_ns - now_ns + 999_999) / 1_000_000) : 0
      var polled = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
      guard poll(&polled, 1, left_ms) != 0 else {
        throw RemoteMemoryError(
          "handed over: no whole message within \(timeout_ms) ms", code: ETIMEDOUT)
      }
      var more: Int32 = -1
      let received = bytes.withUnsafeMutableBytes {
        memx_descriptor_receive(socket, $0.baseAddress! + count, maxBytes - count, &more)
      }
      if more >= 0 && descriptor >= 0 {
        close(more)
        throw RemoteMemoryError("handed over: more than one descriptor", code: EPROTO)
      }
      if more >= 0 { descriptor = more }
      guard received != -Int(E2BIG) else {
        throw RemoteMemoryError("handed over: more than one descriptor", code: EPROTO)
      }
      guard received >= 0 else { throw .system("handed over", Int32(-received)) }
      guard received > 0 else {
        throw RemoteMemoryError(
          "handed over: the other end closed before the message was whole", code: EPIPE)
      }
      count += received
    }
    return Array(bytes[..<count])
  }
}
