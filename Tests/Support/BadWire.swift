// SPDX-License-Identifier: Apache-2.0
import CTestSupport
import Foundation
import Glibc
import Synchronization

/// A wire between the two sides of a ``TestNetwork`` that loses, doubles, delays and damages frames, in both
/// directions: a third network namespace with a veth pair to each side, and a thread that carries frames across.
package final class BadWire: Sendable {
  /// What becomes of frames, each in parts per thousand.
  package struct Faults: Sendable {
    package var lost = 10
    package var doubled = 10
    /// Held back until up to eight others have overtaken it.
    package var overtaken = 10
    /// One bit of it is flipped.
    package var damaged = 2
    /// The first frame that begins with a message of this opcode is lost, too.
    package var firstLost: UInt8?
    package init() {}

    /// Nothing happens to any frame but the first of an opcode, which is lost.
    package static func losingFirst(_ opcode: UInt8) -> Faults {
      var faults = Faults()
      (faults.lost, faults.doubled, faults.overtaken, faults.damaged) = (0, 0, 0, 0)
      faults.firstLost = opcode
      return faults
    }
  }

  /// How often that has happened.
  package struct Counts: Sendable {
    package var carried = 0
    package var lost = 0
    package var doubled = 0
    package var overtaken = 0
    package var damaged = 0
  }

  private let namespace: String
  private let stopping = Atomic<Bool>(false)
  private let ended = DispatchSemaphore(value: 0)
  private let firstIsLost = DispatchSemaphore(value: 0)
  private let state = Mutex(Counts())

  package var counts: Counts { state.withLock { $0 } }

  /// Joins a network that is not joined yet.
  ///
  /// - Parameter seed: the same faults for the same frames.
  package init(_ network: TestNetwork, _ faults: Faults = Faults(), seed: UInt64) throws {
    namespace = network.server + "w"
    try run("ip", "netns", "add", namespace)
    for (end, side, link) in [
      ("w0", network.server, network.serverLink), ("w1", network.client, network.clientLink),
    ] {
      try run(
        "ip", "link", "add", link, "netns", side, "mtu", "\(network.mtu)", "type", "veth", "peer",
        "name", end, "netns", namespace, "mtu", "\(network.mtu)")
      try run("ip", "-n", side, "link", "set", link, "up")
      try run("ip", "-n", namespace, "link", "set", end, "up")
    }
    let sockets = try inNamespace(namespace) {
      try ["w0", "w1"].map { end in
        let socket = test_packet_socket(end, 1)
        guard socket >= 0 else { throw TestFailure("no packet socket on \(end): \(-socket)") }
        return socket
      }
    }
    Thread { [self] in
      carry(sockets, faults, SeededGenerator(seed: seed))
      for socket in sockets { close(socket) }
      ended.signal()
    }.start()
  }

  /// Waits until the frame of ``Faults/firstLost`` has been lost, once, for 10 s at most; whether it was.
  package func waitForFirstLost() -> Bool { firstIsLost.wait(timeout: .now() + 10) == .success }

  /// Ends the wire; call it when the test is done.
  package func remove() throws {
    stopping.store(true, ordering: .releasing)
    ended.wait()
    try run("ip", "netns", "del", namespace)
  }

  private func carry(_ sockets: [Int32], _ faults: Faults, _ chance: SeededGenerator) {
    var (chance, firstLost) = (chance, faults.firstLost)
    /// Frames held back: for how many others, and which socket they leave by.
    var held: [(others: Int, socket: Int32, frame: [UInt8])] = []
    var frame = [UInt8](repeating: 0, count: 1 << 16)
    var polls = sockets.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    while !stopping.load(ordering: .acquiring) {
      guard poll(&polls, nfds_t(polls.count), 20) > 0 else {
        // Nothing is left that could overtake them.
        for late in held { _ = send(late.socket, late.frame, late.frame.count, 0) }
        held = []
        continue
      }
      for side in polls.indices where polls[side].revents != 0 {
        let count = recv(sockets[side], &frame, frame.count, Int32(MSG_DONTWAIT))
        guard count > 0 else { continue }
        let out = sockets[1 - side]
        let kind = Int.random(in: 0..<1000, using: &chance)
        var limit = faults.lost
        state.withLock { counts in
          counts.carried += 1
          if let opcode = firstLost, count > 15, frame[15] == opcode {
            firstLost = nil
            counts.lost += 1
            firstIsLost.signal()
            return
          }
          if kind < limit { return counts.lost += 1 }
          limit += faults.overtaken
          if kind < limit {
            counts.overtaken += 1
            held.append((Int.random(in: 1...8, using: &chance), out, Array(frame[..<count])))
            return
          }
          limit += faults.damaged
          if kind < limit, count > 14 {
            counts.damaged += 1
            frame[Int.random(in: 14..<count, using: &chance)] ^=
              1 << UInt8.random(in: 0..<8, using: &chance)
          }
          _ = send(out, frame, count, 0)
          if (limit..<limit + faults.doubled).contains(kind) {
            counts.doubled += 1
            _ = send(out, frame, count, 0)
          }
        }
        for index in held.indices { held[index].others -= 1 }
        for late in held where late.others < 0 {
          _ = send(late.socket, late.frame, late.frame.count, 0)
        }
        held.removeAll { $0.others < 0 }
      }
    }
  }
}
