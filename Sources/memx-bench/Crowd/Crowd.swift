// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Console
import Glibc
import Links
import RMAP

/// Holds many connections that have no session: for tests of what they cost a server.
struct Crowd: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Holds many RDMA connections to a server until it is killed.", shouldDisplay: false)

  @Option(help: "rdma:ADDRESS[:PORT] with the server's IP address.")
  var link: String

  @Option(help: "Connections.")
  var connections: Int

  @Option(help: "Receives that each keeps posted; the server is ready to send as many.")
  var receives: Int = 1

  @Option(help: "Of these, so many say something at once, then the next.")
  var together: Int = 128

  @Flag(help: "Say more and more, take none of the answers, and end when a connection does.")
  var mute = false

  func validate() throws {
    guard case .rdma = LinkName(link) else { throw ValidationError("--link must be rdma:…") }
    guard (1...4096).contains(connections) else {
      throw ValidationError("--connections must be 1 to 4096")
    }
    guard together > 0 else { throw ValidationError("--together must be at least 1") }
    guard (1...1024).contains(receives) else {
      throw ValidationError("--receives must be 1 to 1024")
    }
  }

  /// One of the crowd; in an object, since a link cannot be in an array.
  private final class Member {
    private var link: VerbsLink

    init(_ address: VerbsAddress, receives: Int) throws(LinkError) {
      var options = VerbsLink.Options()
      options.receives = receives
      options.sends = 1
      options.connections = 1
      // The server is busy with all the others, too.
      link = try VerbsLink(connecting: address, options: options, timeout_ms: 20_000)
    }

    /// Whether the server has not ended the connection.
    var isConnected: Bool {
      link.now_ns = monotonic_ns()
      link.manage()
      return link.isConnected
    }

    /// Has the server spend a receive, and answer perhaps: there is no such session.
    func speak() {
      let header = Header(opcode: Opcode.keepAlive.rawValue, session: 0).sealed()
      link.append(
        header, payload: UnsafeRawBufferPointer(start: nil, count: 0), to: link.server,
        mtu: VerbsLink.frameBytes)
      link.flush()
    }

    /// Waits until that has been received; false when the connection has ended instead.
    func wasHeard() -> Bool {
      while link.takeSends() == 0 { link.wait(timeout_ns: 5_000_000) }
      return link.isConnected
    }
  }

  func run() throws {
    guard case .rdma(let address) = LinkName(link) else { return }
    var members: [Member] = []
    for _ in 0..<connections { members.append(try Member(address, receives: receives)) }
    if mute { return try say(members) }
    var heard = 0
    for first in stride(from: 0, to: members.count, by: together) {
      let speakers = members[first..<min(first + together, members.count)]
      for member in speakers { member.speak() }
      for member in speakers where member.wasHeard() { heard += 1 }
    }
    report(members, heard)
    withExtendedLifetime(members) { while true { pause() } }
  }

  /// Has each say something in turn until the server has ended a connection: its answers, of which nobody takes any, are
  /// in all of its buffers then.
  private func say(_ members: [Member]) throws {
    let end_ns = monotonic_ns() + 60_000_000_000
    var heard = 0
    while monotonic_ns() < end_ns {
      for member in members {
        guard member.isConnected else {
          report(members, heard)
          return
        }
        member.speak()
        if member.wasHeard() { heard += 1 }
      }
    }
    throw RmapError(description: "no connection has ended within 60 s")
  }

  private func report(_ members: [Member], _ heard: Int) {
    printLine(
      "{\"schema\":1,\"bench\":\"crowd\",\"connections\":\(members.count),\"heard\":\(heard)}")
  }
}
