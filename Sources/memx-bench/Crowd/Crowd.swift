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

  @Option(help: "How often each says something; it takes none of the answers.")
  var times: Int = 1

  @Option(help: "How long to wait before the next speak: a server gives 100 errors a second.")
  var pauseMs: Int = 0

  func validate() throws {
    guard case .rdma = LinkName(link) else { throw ValidationError("--link must be rdma:…") }
    guard (1...4096).contains(connections) else {
      throw ValidationError("--connections must be 1 to 4096")
    }
    guard together > 0 else { throw ValidationError("--together must be at least 1") }
    guard times > 0 else { throw ValidationError("--times must be at least 1") }
    guard (0...60_000).contains(pauseMs) else {
      throw ValidationError("--pause-ms must be 0 to 60000")
    }
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
    var heard = 0
    for first in stride(from: 0, to: members.count, by: together) {
      let speakers = members[first..<min(first + together, members.count)]
      for _ in 0..<times {
        for member in speakers { member.speak() }
        for member in speakers where member.wasHeard() { heard += 1 }
      }
      usleep(UInt32(pauseMs) * 1000)
    }
    printLine(
      "{\"schema\":1,\"bench\":\"crowd\",\"connections\":\(members.count),\"heard\":\(heard)}")
    withExtendedLifetime(members) { while true { pause() } }
  }
}
