// SPDX-License-Identifier: Apache-2.0
import CTestSupport
import Foundation
import Glibc
import RMAP
import TestSupport

/// Sends a server frames that no client would send.
struct Hostile {
  private let network: TestNetwork
  private let server: MACAddress

  init(_ network: TestNetwork, server: MACAddress) {
    self.network = network
    self.server = server
  }

  /// A flood under way.
  final class Flood: @unchecked Sendable {
    // Invariant behind @unchecked: `failure` is written before `done` is signalled, and read after.
    fileprivate let done = DispatchSemaphore(value: 0)
    fileprivate var failure: (any Error)?

    func wait() throws {
      done.wait()
      if let failure { throw failure }
    }
  }

  /// Begins to send from another thread: random bytes, and headers that are right but for one thing.
  func start(frames: Int, seed: UInt64) throws -> Flood {
    let network = network
    let server = server
    let flood = Flood()
    let thread = Thread {
      do {
        try inNamespace(network.client) {
          let descriptor = test_packet_socket(network.clientLink, 0)
          guard descriptor >= 0 else { throw TestFailure("no packet socket: \(-descriptor)") }
          defer { close(descriptor) }
          var random = SeededGenerator(seed: seed)
          for _ in 0..<frames {
            let frame = Self.frame(to: server, &random)
            // A full queue just loses it.
            _ = send(descriptor, frame, frame.count, 0)
          }
        }
      } catch { flood.failure = error }
      flood.done.signal()
    }
    thread.start()
    return flood
  }

  private static func frame(to server: MACAddress, _ random: inout SeededGenerator) -> [UInt8] {
    var frame = [UInt8](repeating: 0, count: 14)
    frame.withUnsafeMutableBytes { bytes in
      server.store(at: bytes.baseAddress!)
      // Sometimes a sender that no frame may have.
      MACAddress(value: random.next() & (random.next() & 7 == 0 ? .max : 0xFEFF_FFFF_FFFF))
        .store(at: bytes.baseAddress! + 6)
      bytes.storeBytes(of: Wire.etherType.bigEndian, toByteOffset: 12, as: UInt16.self)
    }
    let kind = random.next() % 5
    if kind == 0 {
      let count = Int(random.next() % 1400) + 1
      return frame + (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }
    let payload = (0..<Int(random.next() % 1300)).map { _ in
      UInt8(truncatingIfNeeded: random.next())
    }
    var header = Header(
      opcode: UInt8(random.next() % 12), attempt: UInt8(truncatingIfNeeded: random.next()),
      session: UInt32(truncatingIfNeeded: random.next()),
      tag: UInt16(truncatingIfNeeded: random.next()),
      generation: UInt32(truncatingIfNeeded: random.next()), slot: random.next(),
      length: kind == 1 ? 1400 : payload.count,
      fragments: UInt8(truncatingIfNeeded: random.next()),
      count: UInt32(truncatingIfNeeded: random.next()))
    if header.opcode == 0 { header.opcode = 0x55 }
    if kind == 2 { header.version = UInt8(truncatingIfNeeded: random.next() | 2) }
    header = payload.withUnsafeBytes { header.sealed(payloadHash: payloadHash($0)) }
    if kind == 3 { header.checksum ^= 1 << (random.next() & 63) }
    return frame + withUnsafeBytes(of: header) { Array($0) } + payload
  }
}
