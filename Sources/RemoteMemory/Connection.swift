// SPDX-License-Identifier: Apache-2.0
import Glibc
import Links
import RMAP

/// A link and a session on it that a server has granted.
struct Connection: ~Copyable {
  var link: EthernetLink
  var sender: EthernetSender
  var session: ClientSession

  /// Slots of the region.
  var slots: UInt64 { session.grant!.slots }

  /// Opens the link and a session.
  ///
  /// - Throws: when the link cannot be used, the server refuses, or nobody answers in time.
  static func open(
    _ configuration: RemoteMemoryConfiguration
  ) throws(RemoteMemoryError) -> Connection {
    try configuration.check()
    var connection = Connection(configuration, link: try openLink(configuration))
    try connection.attach(configuration)
    return connection
  }

  private init(_ configuration: RemoteMemoryConfiguration, link: consuming EthernetLink) {
    sender = EthernetSender(socket: link.fileDescriptor, source: link.address)
    session = ClientSession(
      ClientConfiguration(
        region: configuration.region, token: configuration.token, mtu: link.mtu,
        queueDepth: configuration.queueDepth, server: configuration.server,
        giveUp_ns: UInt64(configuration.giveUp_ms) * 1_000_000, attachID: Self.wallClock_ns()))
    self.link = link
  }

  private static func openLink(
    _ configuration: RemoteMemoryConfiguration
  ) throws(RemoteMemoryError) -> EthernetLink {
    do throws(LinkError) {
      return try EthernetLink(
        configuration.link, ringFrames: 2048, mtu: configuration.mtu ?? 0)
    } catch { throw RemoteMemoryError("\(error)", code: error.code) }
  }

  private mutating func attach(
    _ configuration: RemoteMemoryConfiguration
  ) throws(RemoteMemoryError) {
    let end_ns = monotonic_ns() + UInt64(configuration.attachTimeout_ms) * 1_000_000
    var nothing = NoCompletions()
    while session.state == .attaching {
      let now_ns = monotonic_ns()
      guard now_ns < end_ns else {
        throw RemoteMemoryError(
          "no server answered on \(configuration.link) within \(configuration.attachTimeout_ms) ms: is memxd"
            + " running on the other end, with a region '\(configuration.region)', and the link up?",
          code: ETIMEDOUT
        )
      }
      while let frame = link.next() {
        session.receive(
          frame: frame.bytes, from: frame.source, now_ns: now_ns, completions: &nothing)
      }
      _ = session.poll(now_ns: now_ns, sink: &sender, completions: &nothing)
      sender.flush()
      if session.state == .attaching { link.wait(timeout_ms: 10) }
    }
    if case .refused(let status) = session.state {
      throw RemoteMemoryError("region '\(configuration.region)': \(status)", code: status.code)
    }
  }

  private static func wallClock_ns() -> UInt64 {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
  }
}

private struct NoCompletions: CompletionSink {
  mutating func completed(request: UInt64, outcome: Outcome) {}
}
