// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Console
import Control
import Glibc

struct Attach: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Attach a region of a memory server, or a pseudo-paging device, as a block device.",
    discussion: """
      Prints the device's name once it can be used. With --swap it is swap space in use. A \
      region that holds data of an earlier attachment keeps it, unless --swap writes over its start. \
      A pseudo-paging device keeps its pages in this machine until memxctl migrate moves it.
      """)

  @Option(
    help: ArgumentHelp(
      "Network interface towards the server, or rdma:ADDRESS[:PORT] for a server over RDMA (default "
        + "port: 34997); with --pseudo, rdma: alone.", valueName: "link"),
    completion: .shellCommand("ls /sys/class/net"), transform: Word.link)
  var link: String

  @Option(
    help: ArgumentHelp(
      "Over RDMA, the device to use, as `rdma link` names it. Left out, the one that leads to the "
        + "server.", valueName: "name"),
    completion: .shellCommand("ls /sys/class/infiniband"), transform: Word.rdmaDevice)
  var device: String?

  @Option(
    help: ArgumentHelp("With --device: its port, 1 to 255 (default: 1).", valueName: "n"),
    transform: { try Word.number($0, in: 1...255, unit: "as a port") })
  var ibPort: Int?

  @Option(
    help: ArgumentHelp(
      "With --device: the port's GID to connect from, 0 to 65535 (default: the first that stands "
        + "for an address of the server's kind).", valueName: "n"),
    transform: { try Word.number($0, in: 0...65535, unit: "as a GID's index") })
  var gidIndex: Int?

  @Option(
    help: ArgumentHelp("Region to attach, as the server names it.", valueName: "name"),
    transform: Word.region)
  var region: String?

  @Flag(
    help: "Instead of a region: a pseudo-paging device, for a Xen guest that is to be migrated.")
  var pseudo = false

  @Option(
    help: ArgumentHelp(
      "The server's address on that link. Left out, the server is found by broadcast.",
      valueName: "mac"),
    transform: Word.server)
  var server: String?

  @Option(
    help: ArgumentHelp(
      "The region's token. Other users can see it in ps; --token-file hides it.",
      valueName: "text"),
    transform: Word.token)
  var token: String?

  @Option(
    help: ArgumentHelp("File whose first line is the region's token.", valueName: "file"),
    completion: .file())
  var tokenFile: String?

  @Option(
    help: ArgumentHelp(
      "Take so much of the region, in bytes or with K, M, G, T; a whole number of 4K pages. "
        + "Left out, all of it; with --pseudo, as much as this machine can page out.",
      valueName: "size"),
    transform: { text in
      let size = try ByteSize(parsing: text)
      guard size.bytes > 0, size.bytes % 4096 == 0 else {
        throw ValidationError("'\(text)' is not a whole number of 4096-byte pages; try 512M")
      }
      return size.bytes
    })
  var size: UInt64?

  @Option(
    help: ArgumentHelp(
      "Requests fail after so long without an answer, 1 to 86400 (default: 30).",
      valueName: "seconds"),
    transform: { try Word.number($0, in: 1...86400, unit: "seconds") })
  var timeout: Int?

  @Option(
    help: ArgumentHelp("Requests in flight at most, 1 to 512 (default: 128).", valueName: "n"),
    transform: { try Word.number($0, in: 1...512, unit: "requests") })
  var queueDepth: Int?

  @Option(
    help: ArgumentHelp(
      "Largest payload of a frame, 1416 to 9000 (default: the link's own).", valueName: "bytes"),
    transform: { try Word.number($0, in: 1416...9000, unit: "bytes") })
  var mtu: Int?

  @Flag(help: "Run mkswap on the device and swap to it.")
  var swap = false

  @Option(
    help: ArgumentHelp(
      "With --swap: its priority, 0 to 32767; higher is used first.", valueName: "n"),
    transform: { try Word.number($0, in: 0...32767, unit: "as a priority") })
  var priority: Int?

  @Flag(help: "With --swap: discard freed swap slots, which frees their memory on the server.")
  var discard = false

  @Flag(
    help: "With --swap: leave vm.min_free_kbytes as it is, even if it is too low for the network.")
  var keepMinFree = false

  @Flag(
    help: "With --pseudo and --swap: leave it to the kernel how pages age.")
  var keepAging = false

  @Flag(
    help: "With --pseudo and --swap: leave it to the kernel how much is read from swap at a time.")
  var keepReadahead = false

  @OptionGroup var output: Output

  func validate() throws {
    guard pseudo != (region != nil) else {
      throw ValidationError(
        pseudo
          ? "a pseudo-paging device has no region; give --pseudo or --region"
          : "give --region, or --pseudo for a pseudo-paging device")
    }
    if pseudo, server != nil || token != nil || tokenFile != nil {
      throw ValidationError(
        "--server and --token belong to a region; memxctl migrate gives --pseudo its own")
    }
    let isRDMA = link.hasPrefix(Word.rdmaAlone)
    if isRDMA, pseudo != (link == Word.rdmaAlone) {
      throw ValidationError(
        pseudo
          ? "--pseudo goes with --link rdma: alone; each migration names the server"
          : "--link rdma: names no server; give its address, such as rdma:192.0.2.1")
    }
    if isRDMA, server != nil {
      throw ValidationError("--server is for Ethernet; --link rdma:ADDRESS names the server")
    }
    if isRDMA
      ? device == nil && (ibPort != nil || gidIndex != nil)
      : device != nil || ibPort != nil || gidIndex != nil
    {
      throw ValidationError(
        "--device goes with --link rdma:ADDRESS, --ib-port and --gid-index with --device")
    }
    if token != nil, tokenFile != nil {
      throw ValidationError("--token and --token-file both name the token; give one of them")
    }
    if !swap, priority != nil || discard || keepMinFree {
      throw ValidationError(
        "--priority, --discard and --keep-min-free say how to swap; give --swap with them")
    }
    if keepAging || keepReadahead, !swap || !pseudo {
      throw ValidationError("--keep-aging and --keep-readahead go with --pseudo and --swap")
    }
  }

  func run() throws {
    let files = KernelFiles.fromEnvironment()
    try output.report { () throws(Failure) in
      var request = AttachRequest(link: link, region: region)
      request.path = RDMAPath(device: device, port: ibPort, gidIndex: gidIndex)
      request.server = server
      request.token = try tokenFile.map(tokenIn) ?? token
      request.sizeBytes = size
      if pseudo, size == nil { request.sizeBytes = try files.pageableKiB() / 4 * 4096 }
      request.timeoutS = timeout
      request.queueDepth = queueDepth
      request.mtu = mtu
      if let timeout, let warning = HungTaskDetector.warning(timeoutS: timeout, files) {
        printLine("memxctl: \(warning)", to: STDERR_FILENO)
      }
      let options = swap ? SwapOptions(priority: priority, discard: discard) : nil
      // A pseudo-paging device needs no network until the guest has moved, and memory that stays free moves with it.
      // Before there is swap, so that no page can wait for a network that waits for memory.
      if swap, !pseudo, !keepMinFree, let reserve = try NetworkReserve.raise(files) {
        printLine(
          "memxctl: vm.min_free_kbytes raised from \(reserve.formerKiB) to \(reserve.currentKiB), so"
            + " that the network can work while memory is short", to: STDERR_FILENO)
      }
      if swap, pseudo, !keepAging, try PageAging.useGenerations(files) {
        printLine(
          "memxctl: pages age in generations from now on (lru_gen), for a better LRU order",
          to: STDERR_FILENO)
      }
      if swap, pseudo, !keepReadahead, let former = try SwapReadahead.turnOff(files) {
        printLine(
          "memxctl: pages are read from swap one at a time from now on, not \(former)"
            + " (vm.page-cluster): they are in memory, and after a migration the server pushes them",
          to: STDERR_FILENO)
      }
      let device = try request.attach(files, swap: options, MachineSwapTools())
      let status = try DeviceStatus(device, files)
      printLine(output.json ? status.json(event: "attached").line : device.path)
    }
  }

  private func tokenIn(_ path: String) throws(Failure) -> String {
    let text: String
    do {
      text = try readSmallFile(path)
    } catch {
      throw Failure(.failed, "cannot read the token file \(path): \(error)", errno: error.name)
    }
    do {
      return try Word.token(String(text.prefix { !$0.isNewline }))
    } catch {
      throw Failure(.failed, "the first line of \(path) is no token: \(error)")
    }
  }
}
