// SPDX-License-Identifier: Apache-2.0
import Console
import Glibc
import Processes
import RMAP

/// The two sides of a post-copy and what joins them: a source and a target network namespace with a link
/// between them, of which memxd has the source's end, and a second link inside the source's, over which the
/// programs' pages go to memxd.
///
///     source namespace                            target namespace
///     programs ── fillEnd ─ fillLink ─ memxd ─ serverEnd ──── targetEnd ── programs
///                                                    └ limited by tbf
final class PostcopyBed {
  static let fillEnd = "s0"
  static let targetEnd = "t1"
  static let region = "postcopy"
  private static let fillLink = "s1"
  private static let serverEnd = "t0"

  let target: NetworkNamespace
  let source: NetworkNamespace
  private let server: ChildProcess
  private var isLimited = false

  /// - Parameters:
  ///   - mtu: of all links.
  ///   - pages: of the region.
  init(mtu: Int, pages: Int) throws(RunFailure) {
    target = try NetworkNamespace()
    source = try NetworkNamespace()
    let mtu = "\(mtu)"
    try Self.ip(
      "link", "add", Self.fillEnd, "mtu", mtu, "type", "veth", "peer", "name", Self.fillLink, "mtu",
      mtu)
    try Self.ip(
      "link", "add", Self.serverEnd, "mtu", mtu, "type", "veth", "peer", "name", Self.targetEnd,
      "mtu", mtu, "netns", target.path)
    for end in [Self.fillEnd, Self.fillLink, Self.serverEnd] { try Self.up(end) }
    try target.enter()
    try Self.up(Self.targetEnd)
    try source.enter()
    server = try Self.startServer(pages: pages)
  }

  private static func ip(_ arguments: String...) throws(RunFailure) {
    try ChildProcess.run("ip", arguments, package: "iproute2")
  }

  /// Without IPv6 addresses, whose set-up would send frames of its own.
  private static func up(_ link: String) throws(RunFailure) {
    try ip("link", "set", link, "addrgenmode", "none")
    try ip("link", "set", link, "up")
  }

  private static func startServer(pages: Int) throws(RunFailure) -> ChildProcess {
    let program = ownProgram().split(separator: "/", omittingEmptySubsequences: false)
    let memxd = program.dropLast().joined(separator: "/") + "/memxd"
    guard access(memxd, X_OK) == 0 else {
      throw RunFailure(
        "there is no memxd beside this program (\(memxd)): build it, or install both")
    }
    let bytes = pages * 4096
    return try ChildProcess(
      ownProgram(),
      [
        "postcopy-server", "--program", memxd, "--", "--link", fillLink, "--link", serverEnd,
        "--region", "\(region):\(bytes)", "--memory", "\(bytes)", "--log-level", "warning",
      ])
  }

  /// Process id of memxd.
  var serverPid: Int32 { server.id }

  /// - Throws: when memxd has ended.
  func checkServer() throws(RunFailure) {
    guard let status = server.poll() else { return }
    throw RunFailure(
      status & 0x7f == 0
        ? "memxd has ended with exit status \(status >> 8)"
        : "memxd was ended by signal \(status & 0x7f)")
  }

  /// Limits what memxd sends to the target.
  ///
  /// The bucket holds two frames of the largest MTU, at any MTU: what goes out keeps the rate at the scale of
  /// a few pages, and timers that are tens of microseconds late do not slow it down.
  ///
  /// - Parameter mb_s: 10⁶ bytes of frames a second, Ethernet headers included; 0 for no limit.
  func limit(mb_s: Int) throws(RunFailure) {
    if mb_s == 0 {
      if isLimited {
        try ChildProcess.run(
          "tc", ["qdisc", "del", "dev", Self.serverEnd, "root"], package: "iproute2")
      }
      isLimited = false
      return
    }
    try ChildProcess.run(
      "tc",
      [
        "qdisc", "replace", "dev", Self.serverEnd, "root", "handle", "1:", "tbf",
        "rate", "\(mb_s * 8)mbit", "burst",
        "\(2 * (Wire.maxMTU + 14))", "limit", "\(1 << 20)",
      ], package: "iproute2")
    // What an Ethernet card's queue is where nobody has chosen another.
    try ChildProcess.run(
      "tc", ["qdisc", "replace", "dev", Self.serverEnd, "parent", "1:1", "pfifo_fast"],
      package: "iproute2")
    isLimited = true
  }
}
