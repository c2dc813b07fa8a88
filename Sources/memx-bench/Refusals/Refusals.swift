// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Glibc
import Links
import RMAP

/// Tries to reach a server's memory where that is not allowed: for tests of servers and of their devices.
struct Refusals: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Tries what a server's RDMA device must refuse; fails when it does not.",
    shouldDisplay: false)

  @Option(help: "rdma:ADDRESS[:PORT] with the server's IP address.")
  var link: String

  @Option(help: "A region with layout=linear.")
  var region: String

  func validate() throws {
    guard case .rdma = LinkName(link) else { throw ValidationError("--link must be rdma:…") }
    guard RegionName(region) != nil else { throw ValidationError("--region is no name") }
  }

  func run() throws {
    guard case .rdma(let address) = LinkName(link) else { return }
    var attempts: [String] = []
    func expectRefusal(_ what: String, _ finished: VerbsLink.Finished?) throws {
      guard let finished else { throw RmapError(description: "\(what): no answer within 10 s") }
      guard finished.wasRefused else {
        throw RmapError(description: "\(what): not refused, but ended with: \(finished.reason)")
      }
      attempts.append("\"\(what)\":\"\(finished.reason)\"")
    }

    let memory = UnsafeMutableRawBufferPointer.allocate(
      byteCount: Wire.pageBytes, alignment: Wire.pageBytes)
    defer { memory.deallocate() }

    try expectRefusal("read behind the end", attempt(address, memory) { $0.slot = $0.slots })
    try expectRefusal("read before the beginning", attempt(address, memory) { $0.slot = .max })
    try expectRefusal(
      "write behind the end",
      attempt(address, memory) {
        $0.slot = $0.slots
        $0.isWrite = true
      })
    try expectRefusal("a key that was never given", attempt(address, memory) { $0.key ^= 0x5A })
    try expectRefusal("another connection's key", foreign(address, memory))
    try expectRefusal("the key of a session that has ended", stale(address, memory))
    try attempts.append("\"pushes to a key that was never given\":\"\(foreignBuffers(address))\"")
    attempts.append("\"a write that announces itself\":\"\(try unasked(address, memory))\"")
    attempts.append("\"another version\":\"\(try otherVersion(address))\"")
    print("{\"schema\":1,\"bench\":\"refusals\"," + attempts.joined(separator: ",") + "}")
  }

  /// Connects as a client of a later version would.
  ///
  /// - Returns: what the server says to it.
  private func otherVersion(_ address: VerbsAddress) throws -> String {
    var options = VerbsLink.Options()
    options.version = Wire.version + 1
    do throws(LinkError) {
      _ = try VerbsLink(connecting: address, options: options)
    } catch {
      guard error.code == ECONNREFUSED, error.description.contains(Status.badVersion.description)
      else { throw error }
      return Status.badVersion.description
    }
    throw RmapError(description: "a client of another version was let in")
  }

  /// An access that is allowed until it is changed.
  private struct Access {
    var slot: UInt64 = 0
    var slots: UInt64
    var key: UInt32
    var isWrite = false
  }

  private func client(_ address: VerbsAddress) throws -> RmapClient<VerbsPort> {
    let port = try VerbsPort(address, queueDepth: 4)
    let server = port.server
    return RmapClient(
      port, link: link, queueDepth: 4, region: RegionName(region)!, token: .none, server: server,
      giveUp_ns: 5_000_000_000, busyPoll_us: 0)
  }

  /// Makes one access over a session of its own.
  ///
  /// When it is refused both ends' queue pairs are in their error state; the client must get a new connection and session by
  /// itself, and reach what it may.
  private func attempt(
    _ address: VerbsAddress, _ memory: UnsafeMutableRawBufferPointer,
    change: (inout Access) -> Void
  ) throws -> VerbsLink.Finished? {
    var client = try client(address)
    _ = try client.attach()
    let reach = try client.openWindow(memory)
    var access = Access(slots: reach.window.slots, key: reach.window.key)
    change(&access)
    var window = reach.window
    window.key = access.key
    let finished = client.port.perform(
      access.slot, memory, reach.localKey, window, access.isWrite)
    let end_ns = monotonic_ns() + 10_000_000_000
    while !client.maintain(now_ns: monotonic_ns()) {
      guard monotonic_ns() < end_ns else {
        throw RmapError(description: "no new connection after a queue pair's error")
      }
      client.port.wait(timeout_ms: 10)
    }
    let again = try client.openWindow(memory)
    guard client.port.perform(0, memory, again.localKey, again.window, false)?.succeeded == true
    else { throw RmapError(description: "the new connection does not reach the memory") }
    return finished
  }

  /// Uses the key of one connection, which is open, over another.
  private func foreign(
    _ address: VerbsAddress, _ memory: UnsafeMutableRawBufferPointer
  ) throws -> VerbsLink.Finished? {
    var owner = try client(address)
    _ = try owner.attach()
    let reach = try owner.openWindow(memory)
    guard owner.port.perform(0, memory, reach.localKey, reach.window, false)?.succeeded == true
    else { throw RmapError(description: "the key does not even open its owner's memory") }
    var other = try VerbsPort(address, queueDepth: 4)
    let answer = other.perform(0, memory, try other.register(memory), reach.window, false)
    guard owner.port.perform(0, memory, reach.localKey, reach.window, false)?.succeeded == true
    else { throw RmapError(description: "another connection's attempt has harmed the owner") }
    return answer
  }

  /// Has the server push to memory that it may not write: this end's device must refuse that.
  ///
  /// - Returns: how the post-copy ends.
  private func foreignBuffers(_ address: VerbsAddress) throws -> String {
    var client = try client(address)
    var load = PageLoad(slots: try client.attach(), queueDepth: 4, seed: 1, verify: false)
    client.run(&load, .fill, duration_s: nil)
    guard var buffers = try client.port.openPushBuffers() else {
      throw RmapError(description: "there are no buffers for pushes")
    }
    buffers.key ^= 0x5A
    let reason: String
    do throws(RmapError) {
      _ = try client.takePushes(&load, into: buffers)
      reason = ""
    } catch {
      reason = error.description
    }
    guard reason.contains("the session has ended") else {
      throw RmapError(description: "pushes to a key that was never given: ‘\(reason)’")
    }
    // Over the next connection they come.
    let slots = try client.attach()
    load = PageLoad(slots: slots, queueDepth: 4, seed: 1, verify: false)
    _ = try client.takePushes(&load, into: try client.port.openPushBuffers())
    return reason
  }

  /// Writes with an immediate to where this client may write: at the server a receive completes that holds no frame.
  ///
  /// - Returns: what comes of it.
  private func unasked(
    _ address: VerbsAddress, _ memory: UnsafeMutableRawBufferPointer
  ) throws -> String {
    var client = try client(address)
    let slots = try client.attach()
    let reach = try client.openWindow(memory)
    client.port.push(UnsafeRawBufferPointer(memory), into: reach.window)
    var load = PageLoad(slots: slots, queueDepth: 4, seed: 1, verify: true)
    client.run(&load, .fill, duration_s: nil)
    guard load.failures == 0, try client.openWindow(memory).window == reach.window else {
      throw RmapError(description: "a write that announces itself has ended the session")
    }
    return "nobody looks at it"
  }

  /// Detaches, and goes on.
  private func stale(
    _ address: VerbsAddress, _ memory: UnsafeMutableRawBufferPointer
  ) throws -> VerbsLink.Finished? {
    var client = try client(address)
    _ = try client.attach()
    let reach = try client.openWindow(memory)
    client.detach()
    // The answer to DETACH is the first frame from now on.
    let end_ns = monotonic_ns() + 5_000_000_000
    while client.port.next() == nil {
      guard monotonic_ns() < end_ns else {
        throw RmapError(description: "no answer to DETACH")
      }
      client.port.wait(timeout_ms: 10)
    }
    return client.port.perform(0, memory, reach.localKey, reach.window, false)
  }
}

extension VerbsPort {
  /// Pushes a page into a window as a server would into a client's buffers.
  fileprivate mutating func push(_ page: UnsafeRawBufferPointer, into window: MemoryWindow) {
    writePushes(to: PushBuffers(address: window.address, key: window.key))
    append(
      Header(opcode: Opcode.push.rawValue, session: 0, length: page.count), payload: page,
      to: server, mtu: mtu)
    flush()
    writePushes(to: nil)
  }

  /// Reads or writes one page, and waits up to 10 s for how that ends.
  fileprivate mutating func perform(
    _ slot: UInt64, _ memory: UnsafeMutableRawBufferPointer, _ localKey: UInt32,
    _ window: MemoryWindow, _ isWrite: Bool
  ) -> VerbsLink.Finished? {
    let end_ns = monotonic_ns() + 10_000_000_000
    start(
      PageLoad.Request(
        index: 0, operation: isWrite ? .write : .read, slot: slot, buffer: memory.baseAddress!),
      localKey: localKey, in: window)
    flush()
    while monotonic_ns() < end_ns {
      if let finished = takeFinished() { return finished }
      waitForAny(timeout_ms: 10)
    }
    return nil
  }
}
