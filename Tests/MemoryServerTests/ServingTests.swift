// SPDX-License-Identifier: Apache-2.0
import CTestSupport
import Foundation
import Glibc
import RMAP
import Telemetry
import TestSupport
import Testing

/// A real memxd in one network namespace, user-mode clients in another, a veth pair between them.
@Suite struct ServingTests {
  @Test(arguments: [1500, 9000])
  func keepsPages(mtu: Int) throws {
    let network = try TestNetwork(mtu: mtu)
    let memxd = try MemxdProcess(network, ["--region", "a:16M", "--memory", "16M"])
    let client = try UserClient(network, region: "a")
    #expect(client.attach() == .live)
    #expect(client.grant?.slots == 4096)
    #expect(client.grant?.mtu == UInt16(mtu))
    #expect(client.read(0..<100, expecting: .zeros) == .init(done: 100))
    #expect(client.write(0..<4096, version: 1) == .init(done: 4096))
    #expect(client.write(1000..<2000, version: 2) == .init(done: 1000))
    #expect(client.read(0..<1000, expecting: .version(1)) == .init(done: 1000))
    #expect(client.read(1000..<2000, expecting: .version(2)) == .init(done: 1000))
    #expect(client.read(2000..<4096, expecting: .version(1)) == .init(done: 2096))
    #expect(client.discard(0..<96) == .init(done: 1))
    #expect(client.read(0..<96, expecting: .zeros) == .init(done: 96))
    #expect(client.read(4096..<4097, expecting: .zeros).refused == [.outOfRange: 1])

    // What was done is what is told.
    let status = try memxd.wait(for: "4000 pages") { $0.regions[0].stored_pages == 4000 }
    let counters = status.links[0].counters
    #expect(counters["attaches"] == 1)
    #expect(counters["discarded_slots"] == 96)
    #expect(counters["discard_requests"] == 1)
    #expect(counters["out_of_range"] == 1)
    #expect(counters["writes"] == 5096)
    // A READ that was lost or late is read again.
    let reads = 100 + 4096 + 96
    #expect(counters["reads"]! >= reads)
    #expect(counters["reads"]! <= UInt64(reads) + counters["repeated_requests"]!)
    #expect(counters["zero_reads"]! >= 196)
    #expect(status.stored_bytes == 4000 * 4096)
    #expect(status.regions[0].session?.client == client.address.description)
    #expect(status.regions[0].session?.mtu == mtu)
    #expect(status.links[0].mtu == mtu)
    #expect(status.links[0].rx_frames > 0 && status.links[0].tx_bytes > 4096 * 4192)
    let metrics = try PrometheusParser.parse(memxd.get("/metrics").body)
    #expect(metrics["memx_link_writes_total"]?.samples["link=eth0"] == 5096)
    #expect(metrics["memx_region_stored_bytes"]?.samples["region=a"] == 16_384_000.0)
    #expect(metrics["memx_region_attached"]?.samples["region=a"] == 1)

    client.detach()
    let after = try memxd.wait(for: "no session") { $0.regions[0].session == nil }
    #expect(after.regions[0].stored_pages == 4000)
    #expect(after.links[0].counters["detaches"] == 1)
    memxd.signal(SIGTERM)
    #expect(memxd.waitForEnd() == 0)
  }

  @Test func separatesClientsAndRefusesOthers() throws {
    let network = try TestNetwork(mtu: 1500)
    let memxd = try MemxdProcess(
      network,
      [
        "--region", "a:4M,token=one", "--region", "b:4M,quota=1M",
        "--region", "c:4M,client=02:00:00:00:00:01", "--memory", "8M",
      ])
    let server = MACAddress(try memxd.status().links[0].address)!
    let a = try UserClient(network, region: "a", token: "one")
    let b = try UserClient(network, region: "b")
    #expect(a.attach() == .live)
    #expect(b.attach() == .live)
    #expect(a.write(0..<1024, version: 1) == .init(done: 1024))
    #expect(b.write(0..<256, version: 2) == .init(done: 256))
    #expect(b.write(256..<356, version: 2).refused == [.noSpace: 100])
    #expect(b.write(0..<256, version: 3) == .init(done: 256))
    #expect(a.read(0..<1024, expecting: .version(1)) == .init(done: 1024))
    #expect(b.read(0..<256, expecting: .version(3)) == .init(done: 256))
    #expect(b.read(256..<1024, expecting: .zeros) == .init(done: 768))

    for (region, token, status) in [
      ("a", "two", Status.denied), ("a", "", .denied), ("c", "", .denied), ("d", "", .noRegion),
    ] {
      let other = try UserClient(network, region: region, token: token, server: server)
      #expect(other.attach() == .refused(status), "\(region)")
    }
    // By broadcast a server that refuses keeps quiet.
    let quiet = try UserClient(network, region: "a", token: "two")
    #expect(quiet.attach(timeout_ms: 300) == .attaching)
    let status = try memxd.wait(for: "refusals") {
      $0.links[0].counters["attaches_refused"]! >= 4
    }
    #expect(status.links[0].counters["no_space"]! >= 100)
    #expect(status.regions.map(\.stored_pages) == [1024, 256, 0])
    #expect(memxd.log.contains("attach refused"))
  }

  @Test func garbageDoesNotDisturbAClient() throws {
    let network = try TestNetwork(mtu: 1500)
    let memxd = try MemxdProcess(network, ["--region", "a:4M", "--memory", "4M"])
    let client = try UserClient(network, region: "a")
    #expect(client.attach() == .live)
    let address = try memxd.status().links[0].address
    let hostile = Hostile(network, server: MACAddress(address)!)
    let frames = try hostile.start(frames: 20_000, seed: 4711)
    for version in UInt64(1)...5 {
      #expect(client.write(0..<1024, version: version) == .init(done: 1024))
      #expect(client.read(0..<1024, expecting: .version(version)) == .init(done: 1024))
    }
    try frames.wait()
    let status = try memxd.wait(for: "every frame seen") {
      let counters = $0.links[0].counters
      return counters["bad_checksums"]! > 100 && counters["truncated_frames"]! > 100
        && counters["bad_sessions"]! > 100 && counters["bad_versions"]! > 100
    }
    #expect(status.healthy)
    #expect(status.regions[0].stored_pages == 1024)
    #expect(client.counters.attaches == 1)
    // Of thousands of bad frames only a few make a log line.
    #expect(memxd.log.split(separator: "\n").count < 500)
  }

  @Test func anArenaKeepsPagesOverAKill() throws {
    let network = try TestNetwork(mtu: 9000)
    let directory = try TemporaryDirectory()
    let options = ["--region", "a:8M", "--memory", "8M", "--arena", directory.path + "/arena"]
    var memxd = try MemxdProcess(network, options)
    let client = try UserClient(network, region: "a", giveUp_ms: 20_000)
    #expect(client.attach() == .live)
    #expect(client.write(0..<2048, version: 1) == .init(done: 2048))
    memxd.signal(SIGKILL)
    #expect(memxd.waitForEnd() == -SIGKILL)
    memxd = try MemxdProcess(network, options)
    #expect(try memxd.status().regions[0].stored_pages == 2048)
    // The client finds out by itself that its session is gone, and goes on.
    #expect(client.read(0..<2048, expecting: .version(1)) == .init(done: 2048))
    #expect(client.grant?.lost == false)
    #expect(client.counters.attaches == 2)
    memxd.signal(SIGINT)
    #expect(memxd.waitForEnd() == 0)
    memxd = try MemxdProcess(network, options)
    #expect(client.read(0..<2048, expecting: .version(1)) == .init(done: 2048))
  }

  @Test func anArenaOfHugePagesKeepsPagesOverAKill() throws {
    let network = try TestNetwork(mtu: 9000)
    // 8 MiB of pages and 4 for writes under way, and one page each for header, checksums and slots.
    let huge = try HugePages(9)
    let options = ["--region", "a:8M", "--memory", "8M", "--arena", huge.mountPoint + "/arena"]
    var memxd = try MemxdProcess(network, options)
    // Mapping the files has reserved every page: none is missing later, when it would be too late.
    #expect(try huge.available == 0)
    let client = try UserClient(network, region: "a", giveUp_ms: 20_000)
    #expect(client.attach() == .live)
    #expect(client.write(0..<2048, version: 1) == .init(done: 2048))
    memxd.signal(SIGKILL)
    #expect(memxd.waitForEnd() == -SIGKILL)
    memxd = try MemxdProcess(network, options)
    #expect(try memxd.status().regions[0].stored_pages == 2048)
    #expect(client.read(0..<2048, expecting: .version(1)) == .init(done: 2048))
    #expect(client.grant?.lost == false)
    // Chunks that come free stay reserved, and read as zeros.
    #expect(client.discard(0..<2048) == .init(done: 1))
    _ = try memxd.wait(for: "the discard") { $0.regions[0].stored_pages == 0 }
    #expect(try huge.available == 0)
    #expect(client.write(0..<1, version: 2) == .init(done: 1))
    #expect(client.read(1..<2048, expecting: .zeros) == .init(done: 2047))
    memxd.signal(SIGTERM)
    #expect(memxd.waitForEnd() == 0)

    // A page too few is an error at the start, not a crash when it is needed.
    let small = try HugePages(8)
    let refused = try output(
      "/usr/bin/timeout",
      [
        "20", MemxdProcess.path(),
        "--link", "lo", "--region", "a:8M", "--memory", "8M", "--arena",
        small.mountPoint + "/arena",
      ])
    #expect(refused.status == 1)
    #expect(refused.text.contains("Cannot allocate memory"), "\(refused.text)")
  }

  @Test func withoutAnArenaLostPagesAreErrors() throws {
    let network = try TestNetwork(mtu: 1500)
    let options = ["--region", "a:8M", "--memory", "8M"]
    var memxd = try MemxdProcess(network, options)
    let client = try UserClient(network, region: "a", giveUp_ms: 20_000)
    #expect(client.attach() == .live)
    #expect(client.write(0..<100, version: 1) == .init(done: 100))
    memxd.signal(SIGKILL)
    _ = memxd.waitForEnd()
    memxd = try MemxdProcess(network, options)
    #expect(client.read(0..<100, expecting: .version(1)).refused == [.lost: 100])
    #expect(client.grant?.lost == true)
    #expect(client.write(0..<50, version: 2) == .init(done: 50))
    #expect(client.discard(50..<60) == .init(done: 1))
    #expect(client.read(0..<50, expecting: .version(2)) == .init(done: 50))
    #expect(client.read(50..<60, expecting: .zeros) == .init(done: 10))
    #expect(client.read(60..<100, expecting: .zeros).refused == [.lost: 40])
    let status = try memxd.wait(for: "lost reads") { $0.links[0].counters["lost_reads"]! >= 140 }
    #expect(status.regions[0].stored_pages == 50)
  }

  @Test func aLinkThatGoesDownOrAwayComesBack() throws {
    let network = try TestNetwork(mtu: 1500)
    let memxd = try MemxdProcess(network, ["--region", "a:4M", "--memory", "4M"])
    let client = try UserClient(network, region: "a", giveUp_ms: 20_000)
    #expect(client.attach() == .live)
    #expect(client.write(0..<100, version: 1) == .init(done: 100))

    try network.setServerLink(up: false)
    let down = try memxd.wait(for: "link down") { !$0.links[0].up }
    #expect(down.healthy)
    // A link that is down must not keep the engine busy.
    let (sleeps, cpu_us) = (down.links[0].sleeps, down.links[0].cpu_us)
    let later = try memxd.wait(for: "more sleeps") { $0.links[0].sleeps >= sleeps + 5 }
    #expect(later.links[0].cpu_us - cpu_us < 200_000)
    try network.setServerLink(up: true)
    _ = try memxd.wait(for: "link up") { $0.links[0].up }
    #expect(client.read(0..<100, expecting: .version(1)) == .init(done: 100))
    #expect(client.counters.attaches == 1)

    try network.setServerLink(mtu: 9000)
    _ = try memxd.wait(for: "the new MTU") { $0.links[0].mtu == 9000 }
    #expect(client.read(0..<100, expecting: .version(1)) == .init(done: 100))

    try network.disconnect()
    _ = try memxd.wait(for: "link gone") { !$0.links[0].up && $0.links[0].sessions == 0 }
    #expect(try memxd.get("/healthz").code == 200)
    try network.connect()
    let back = try memxd.wait(for: "link back") { $0.links[0].up && $0.links[0].mtu == 1500 }
    #expect(back.links[0].counters["writes"] == 100, "counters go on")
    let other = try UserClient(network, region: "a")
    #expect(other.attach() == .live)
    #expect(other.read(0..<100, expecting: .version(1)) == .init(done: 100))
    #expect(memxd.log.contains("link is gone"))
    #expect(memxd.log.contains("link is back"))
  }

  @Test func servesManyClientsUpToItsLimit() throws {
    let network = try TestNetwork(mtu: 1500)
    let count = 32
    var options = ["--memory", "32M", "--max-sessions", "\(count)"]
    for index in 0...count { options += ["--region", "r\(index):1M"] }
    let memxd = try MemxdProcess(network, options)
    let server = MACAddress(try memxd.status().links[0].address)!
    let clients = try (0..<count).map { try UserClient(network, region: "r\($0)", queueDepth: 8) }
    for client in clients { #expect(client.attach() == .live) }
    let last = try UserClient(network, region: "r\(count)", server: server)
    #expect(last.attach() == .refused(.tooMany))
    for (index, client) in clients.enumerated() {
      #expect(client.write(0..<64, version: UInt64(index)) == .init(done: 64))
    }
    for (index, client) in clients.enumerated() {
      #expect(client.read(0..<64, expecting: .version(UInt64(index))) == .init(done: 64))
    }
    let status = try memxd.wait(for: "all pages") { $0.stored_bytes == count * 64 * 4096 }
    #expect(status.links[0].sessions == count)
    #expect(status.regions.count { $0.session != nil } == count)
  }

  @Test func aRegionHasOneClientOverAllLinks() throws {
    let network = try TestNetwork(mtu: 1500)
    try network.addLink("eth1")
    let memxd = try MemxdProcess(
      network, ["--link", "eth1", "--region", "a:1M", "--region", "b:1M", "--memory", "2M"])
    let addresses = try memxd.status().links.map { MACAddress($0.address)! }
    let first = try UserClient(network, region: "a")
    #expect(first.attach() == .live)
    #expect(first.write(0..<256, version: 1) == .init(done: 256))
    let second = try UserClient(network, region: "a", server: addresses[1], link: "eth1")
    #expect(second.attach() == .refused(.busy))
    let other = try UserClient(network, region: "b", link: "eth1")
    #expect(other.attach() == .live)
    #expect(other.write(0..<256, version: 2) == .init(done: 256))
    first.detach()
    let status = try memxd.wait(for: "the detach") {
      $0.links[0].counters["detaches"] == 1 && $0.regions[1].session != nil
    }
    #expect(status.regions[0].session == nil)
    #expect(status.regions[1].session?.link == "eth1")
    let third = try UserClient(network, region: "a", server: addresses[1], link: "eth1")
    #expect(third.attach() == .live)
    #expect(third.read(0..<256, expecting: .version(1)) == .init(done: 256))
    #expect(other.read(0..<256, expecting: .version(2)) == .init(done: 256))
    // The same client again: its former session ends.
    let again = try UserClient(network, region: "a", server: addresses[1], link: "eth1")
    #expect(again.attach() == .live)
    #expect(again.read(0..<256, expecting: .version(1)) == .init(done: 256))
  }

  @Test func aSilentClientLosesItsSession() throws {
    let network = try TestNetwork(mtu: 1500)
    let memxd = try MemxdProcess(
      network, ["--region", "a:1M", "--memory", "1M", "--session-timeout-ms", "1000"])
    let server = MACAddress(try memxd.status().links[0].address)!
    let silent = try UserClient(network, region: "a")
    #expect(silent.attach() == .live)
    #expect(silent.write(0..<10, version: 1) == .init(done: 10))
    _ = try memxd.wait(for: "the session") { $0.regions[0].session != nil }
    _ = try memxd.wait(for: "expiry") { $0.links[0].counters["sessions_expired"] == 1 }
    let next = try UserClient(network, region: "a", server: server)
    #expect(next.attach() == .live)
    #expect(next.read(0..<10, expecting: .version(1)) == .init(done: 10))
  }

  @Test func whatCannotBeServedIsAnError() throws {
    let network = try TestNetwork(mtu: 1500)
    let memxd = try MemxdProcess(network, ["--region", "a:1M", "--memory", "1M"])
    // A link that is not there at the start is an error, as is a port that is taken.
    let path = try MemxdProcess.path()
    let missing = try inNamespace(network.server) {
      try output(path, ["--link", "nosuch0", "--region", "a:1M", "--memory", "1M"])
    }
    #expect(missing.status == 1)
    #expect(missing.text.contains("link nosuch0: cannot find the interface: No such device"))
    let taken = try inNamespace(network.server) {
      try output(
        path,
        [
          "--link", "eth0", "--region", "a:1M", "--memory", "1M", "--http",
          "127.0.0.1:\(MemxdProcess.port)",
        ])
    }
    #expect(taken.status == 1)
    #expect(taken.text.contains("http: cannot listen on 127.0.0.1:9400"))
    #expect(try memxd.get("/nothing").code == 404)
    #expect(try memxd.get("/").body == "/status /metrics /healthz\n")
    #expect(try memxd.get("/metrics").head.contains("text/plain; version=0.0.4"))
  }
}

/// Runs a program to its end.
func output(_ path: String, _ arguments: [String]) throws -> (status: Int32, text: String) {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: path)
  process.arguments = arguments
  let pipe = Pipe()
  process.standardOutput = pipe
  process.standardError = pipe
  try process.run()
  let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  process.waitUntilExit()
  return (process.terminationStatus, text)
}
