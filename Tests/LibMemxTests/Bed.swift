// SPDX-License-Identifier: Apache-2.0
import CLibMemx
import Foundation
import RMAP
import TestSupport
import Testing

/// A server with a full region "vm" at one end of a link.
struct Bed {
  static let version: UInt64 = 7

  let network: TestNetwork
  let server: MemxdProcess
  let slots: UInt64

  init(slots: UInt64 = 4096, region: String = "") throws {
    self.slots = slots
    network = try TestNetwork(mtu: 9000)
    let bytes = slots * UInt64(Wire.pageBytes)
    server = try MemxdProcess(
      network, ["--memory", "\(bytes)", "--region", "vm:\(bytes)\(region)"])
    let source = try UserClient(network, region: "vm", token: Self.token(region), queueDepth: 64)
    #expect(source.attach() == .live)
    #expect(source.write(0..<slots, version: Self.version).done == Int(slots))
    source.detach()
  }

  private static func token(_ region: String) -> String {
    String(region.split(separator: "=").dropFirst().first ?? "")
  }

  /// The sum of all words of the region, as the example programs print it.
  var sum: String {
    let page = UnsafeMutableRawPointer.allocate(
      byteCount: Wire.pageBytes, alignment: Wire.pageBytes)
    defer { page.deallocate() }
    var sum: UInt64 = 0
    for slot in 0..<slots {
      UserClient.stamp(page, slot: slot, version: Self.version)
      for word in UnsafeRawBufferPointer(start: page, count: Wire.pageBytes).bindMemory(
        to: UInt64.self)
      { sum &+= word }
    }
    let digits = String(sum, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}

/// A memory opened through memx.h, and what was said about it.
final class Opened: @unchecked Sendable {
  // Invariant behind @unchecked: a test uses it from one thread at a time.
  private(set) var code: Int32 = 0
  private(set) var message = ""
  private(set) var memory: OpaquePointer?

  deinit { close() }

  func close() {
    memx_close(memory)
    memory = nil
  }

  /// Calls `memx_open`, or `memx_open_handed` with `handed`, in the client's namespace.
  static func open(
    _ network: TestNetwork, link: String? = nil, region: String = "vm", token: String? = nil,
    server: String? = nil, strategy: String? = nil, handed: Handed? = nil,
    _ change: @escaping @Sendable (inout memx_options) -> Void = { _ in }
  ) throws -> Opened {
    try inNamespace(network.client) {
      let opened = Opened()
      var texts: [UnsafeMutablePointer<CChar>] = []
      defer { texts.forEach { free($0) } }
      func text(_ text: String?) -> UnsafePointer<CChar>? {
        guard let text else { return nil }
        texts.append(strdup(text))
        return UnsafePointer(texts.last!)
      }
      var options = memx_options()
      options.size = MemoryLayout<memx_options>.size
      options.link = text(link ?? network.clientLink)
      options.region = text(region)
      options.token = text(token)
      options.server = text(server)
      options.strategy = text(strategy)
      change(&options)
      (opened.code, opened.message) = withMessage {
        handed == nil
          ? memx_open(&options, &opened.memory, $0, $1)
          : memx_open_handed(
            &options, handed!.userfaultfd, handed!.mappings, handed!.mappings.count,
            &opened.memory, $0, $1)
      }
      return opened
    }
  }

  func wait(timeout_ms: Int32) -> (code: Int32, message: String) {
    withMessage { memx_wait(memory!, timeout_ms, $0, $1) }
  }

  var stats: memx_stats {
    var stats = memx_stats()
    memx_stats(memory!, &stats, MemoryLayout<memx_stats>.size)
    return stats
  }
}

/// A userfaultfd from `memx_receive`.
struct Handed: Sendable {
  var userfaultfd: Int32
  var mappings: [memx_mapping]
}

/// Runs a function of memx.h with a buffer for its message.
func withMessage(
  _ body: (UnsafeMutablePointer<CChar>, Int) -> Int32
) -> (code: Int32, message: String) {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(MEMX_ERROR_BYTES)) {
    let code = body($0.baseAddress!, $0.count)
    return (code, String(cString: $0.baseAddress!))
  }
}
