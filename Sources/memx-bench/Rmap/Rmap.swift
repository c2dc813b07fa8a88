// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Glibc
import Links
import RMAP

/// What the requests of a run are; `push` has none: the server sends every page unasked.
enum AccessPattern: String, ExpressibleByArgument, CaseIterable {
  case randread, randwrite, seqread, seqwrite, push

  var isWrite: Bool { self == .randwrite || self == .seqwrite }
  var isRandom: Bool { self == .randread || self == .randwrite }
}

struct Rmap: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Drives a memory server from user mode and reports pages/s and latency.",
    discussion: """
      Latency is from handing a request to the session until its page (or acknowledgement) is there: \
      a full round trip. The first 200 ms of a run are not counted.

      --case push has the server push every page of the region once, as in a post-copy, however long \
      that takes; nobody waits for a single one of them, so there is no latency.

      SIGINT (Ctrl-C) and SIGTERM end other measurements early; what was measured until then is reported.

      Needs the region to itself, and over Ethernet CAP_NET_RAW.
      """)

  @Option(
    help:
      "Ethernet interface that leads to the server, or rdma:ADDRESS[:PORT] with the server's IP address."
  )
  var link: String

  @Option(help: "The server's Ethernet address; by default it is found by broadcast.")
  var server: String?

  @Option(help: "Region to attach to.")
  var region: String

  @Option(help: "The region's token.")
  var token: String = ""

  @Option(name: .customLong("case"), help: "randread, randwrite, seqread, seqwrite or push.")
  var pattern: AccessPattern = .randread

  @Option(help: "Requests outstanding at once, 1 to 512.")
  var queueDepth: Int = 32

  @Option(help: "Most bytes behind the Ethernet header; the interface's MTU by default.")
  var mtu: Int = 0

  @Option(help: "Seconds to measure.")
  var duration: Double = 5

  @Option(help: "Use only the first so many slots of the region; all by default.")
  var slots: UInt64 = 0

  @Option(help: "Seed of the access order and of the pages' contents.")
  var seed: UInt64 = 1

  @Option(help: "Poll for replies so long before sleeping, in microseconds.")
  var busyPollUs: UInt64 = 50

  @Option(help: "Fail a request that has had no answer for so many seconds.")
  var timeout: Double = 30

  @Option(help: "Process id of a server on this machine, whose CPU time is reported too.")
  var serverPid: Int32?

  @Flag(
    help:
      "Over RDMA: reach the region's memory directly, without the server's program; it needs layout=linear."
  )
  var oneSided = false

  @Flag(
    help:
      "Over RDMA: have pushes sent as messages, not written to buffers; a client without such is served so."
  )
  var sentPushes = false

  @Flag(help: "Write random bytes to every slot first.")
  var fill = false

  @Flag(help: "Check every page read against what was last written there; implies --fill.")
  var verify = false

  @Flag(help: "Print one JSON object.")
  var json = false

  func validate() throws {
    guard (1...Wire.maxQueueDepth).contains(queueDepth) else {
      throw ValidationError("--queue-depth must be 1 to \(Wire.maxQueueDepth)")
    }
    guard let name = LinkName(link) else {
      throw ValidationError(
        "--link must be an interface's name, or rdma:ADDRESS[:PORT] with the server's IP address")
    }
    if case .rdma = name, server != nil || mtu != 0 {
      throw ValidationError("--server and --mtu are of Ethernet links; rdma:ADDRESS says where")
    }
    if case .ethernet = name, oneSided {
      throw ValidationError("--one-sided is of RDMA links; this one is Ethernet")
    }
    if pattern == .push, oneSided {
      throw ValidationError("--one-sided is of reads and writes; pushes are the server's")
    }
    if sentPushes {
      guard pattern == .push, case .rdma = name else {
        throw ValidationError("--sent-pushes is of --case push over RDMA")
      }
    }
    guard mtu == 0 || (Wire.minMTU...Wire.maxMTU).contains(mtu) else {
      throw ValidationError("--mtu must be \(Wire.minMTU) to \(Wire.maxMTU)")
    }
    guard duration > 0, duration <= 3600 else {
      throw ValidationError("--duration must be above 0 and at most 3600 seconds")
    }
    guard timeout > 0, timeout <= 86_400 else {
      throw ValidationError("--timeout must be above 0 and at most 86400 seconds")
    }
    guard RegionName(region) != nil else {
      throw ValidationError("--region must be 1 to 31 of A-Z a-z 0-9 . _ -")
    }
    guard Token(token) != nil else { throw ValidationError("--token has at most 32 bytes") }
    if let server, MACAddress(server) == nil {
      throw ValidationError("--server must be an address like 52:54:00:12:34:56")
    }
  }

  func run() throws {
    switch LinkName(link)! {
    case .ethernet(let name):
      let server = server.flatMap(MACAddress.init) ?? .broadcast
      let client = client(try EthernetPort(name, mtu: mtu), server: server)
      let way = "mtu\(client.mtu)"
      try run(client, way) { client, load, phase, duration_s throws(RmapError) in
        client.run(&load, phase, duration_s: duration_s)
      }
    case .rdma(let address):
      let port = try VerbsPort(address, queueDepth: queueDepth)
      let server = port.server
      let client = client(port, server: server)
      let oneSided = oneSided
      let way = oneSided ? "rdma one-sided" : sentPushes ? "rdma sent" : "rdma"
      try run(client, way) {
        client, load, phase, duration_s throws(RmapError) in
        oneSided
          ? try client.runOneSided(&load, phase, duration_s: duration_s)
          : client.run(&load, phase, duration_s: duration_s)
      }
    }
  }

  private func client<Port: ClientPort & ~Copyable>(
    _ port: consuming Port, server: MACAddress
  ) -> RmapClient<Port> {
    RmapClient(
      port, link: link, queueDepth: queueDepth, region: RegionName(region)!, token: Token(token)!,
      server: server, giveUp_ns: UInt64(timeout * 1e9), busyPoll_us: busyPollUs)
  }

  private typealias Stretch<Port: ClientPort & ~Copyable> = (
    inout RmapClient<Port>, inout PageLoad, LoadPhase, Double?
  ) throws(RmapError) -> Double

  private func run<Port: ClientPort & ~Copyable>(
    _ client: consuming RmapClient<Port>, _ way: String, _ stretch: Stretch<Port>
  ) throws {
    let granted = try client.attach()
    guard slots <= granted else {
      throw ValidationError("--slots is \(slots), but the region has \(granted)")
    }
    let slots = self.slots == 0 ? granted : self.slots
    var load = PageLoad(slots: slots, queueDepth: queueDepth, seed: seed, verify: verify)
    if fill || verify {
      _ = try stretch(&client, &load, .fill, nil)
    }
    let buffers = pattern == .push && !sentPushes ? try client.port.openPushBuffers() : nil
    if pattern != .push {
      load.beginWarmUp()
      _ = try stretch(&client, &load, .measured(pattern), 0.2)
    }
    if pattern != .push { EarlyEnd.begin() }
    load.beginMeasurement()
    let before = CPUUse(serverPid: serverPid)
    let elapsed_s =
      pattern == .push
      ? try client.takePushes(&load, into: buffers)
      : try stretch(&client, &load, .measured(pattern), duration)
    let used = CPUUse(serverPid: serverPid).since(before)
    let report = RmapReport(
      pattern: pattern, queueDepth: queueDepth, way: way, elapsed_s: elapsed_s, load: load,
      counters: client.counters, used: used, verified: verify)
    client.detach()
    print(json ? report.json : report.text)
    guard load.wrongPages == 0, load.failures == 0 else { throw ExitCode.failure }
  }
}
