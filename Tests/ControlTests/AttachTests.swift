// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import Console
@testable import Control

@Suite struct Attaching {
  let memx0 = try! DeviceName(parsing: "memx0")

  @Test func writesTheLineOfTheContract() throws {
    let tree = try MadeUpTree()
    try tree.attach(0)
    var request = AttachRequest(link: "eth0", region: "swap0")
    request.server = "52:54:00:12:34:56"
    request.token = "secret"
    request.sizeBytes = 64 << 20
    request.timeoutS = 5
    request.queueDepth = 32
    request.mtu = 1500
    #expect(try request.attach(tree.files) == memx0)
    #expect(
      try tree.text("sys/class/memx/attach")
        == "region=swap0 link=eth0 server=52:54:00:12:34:56 token=secret size=67108864 "
        + "queue_depth=32 mtu=1500 timeout_s=5\n")
  }

  @Test func namesThePathOverRDMA() {
    var request = AttachRequest(link: "rdma:192.0.2.1", region: "r")
    request.path = RDMAPath(device: "mlx5_0", port: 2, gidIndex: 3)
    #expect(
      request.line
        == "region=r link=rdma:192.0.2.1 device=mlx5_0 ib_port=2 gid_index=3\n")
  }

  @Test(arguments: [
    (ENODEV, Exit.notThere, "rdma link"), (ECONNREFUSED, .refused, "nothing listens"),
    (EADDRNOTAVAIL, .notThere, "GID"), (ETIMEDOUT, .timedOut, "ping"),
    (EHOSTUNREACH, .timedOut, "ping"), (EOPNOTSUPP, .failed, "--queue-depth"),
    (EACCES, .refused, "token"),
  ])
  func saysWhatIsWrongOverRDMA(code: Int32, exit: Exit, word: String) {
    let failure = AttachRequest(link: "rdma:192.0.2.1", region: "r").failure(
      SystemError(code: code))
    #expect(failure.exit == exit)
    #expect(failure.message.contains(word))
    #expect(!failure.message.contains("0x88b5"))
  }

  @Test func leavesOutWhatWasLeftOut() {
    #expect(AttachRequest(link: "eth0", region: "r").line == "region=r link=eth0\n")
  }

  @Test func pseudoPagingDevice() throws {
    let tree = try MadeUpTree()
    try tree.attach(3, region: "", link: "eth0")
    var request = AttachRequest(link: "eth0", region: nil)
    request.sizeBytes = 256 << 20
    #expect(request.line == "mode=pseudo link=eth0 size=268435456\n")
    #expect(try request.attach(tree.files).number == 3)
  }

  @Test func findsItsOwnDeviceAmongSeveral() throws {
    let tree = try MadeUpTree()
    try tree.attach(0, region: "swap0", link: "eth1")
    try tree.attach(10, region: "swap0", link: "eth0")
    let request = AttachRequest(link: "eth0", region: "swap0")
    #expect(try request.attach(tree.files).description == "memx10")
  }

  @Test func saysHowToLoadTheModule() throws {
    let tree = try MadeUpTree(module: false)
    #expect {
      try AttachRequest(link: "eth0", region: "r").attach(tree.files)
    } throws: { error in
      let failure = error as? Failure
      return failure?.exit == .failed && failure?.message.contains("modprobe memx") == true
    }
  }

  @Test(arguments: [
    (ENODEV, Exit.notThere, "ip link"), (ENETDOWN, .failed, "ip link set eth0 up"),
    (ETIMEDOUT, .timedOut, "memxd"), (ENOENT, .refused, "no region swap0"),
    (EACCES, .refused, "--token-file"), (EBUSY, .refused, "another client"),
    (EFBIG, .refused, "--size"), (EUSERS, .refused, "--max-sessions"),
    (EPROTONOSUPPORT, .refused, "same version"), (EEXIST, .failed, "memxctl status"),
    (EINVAL, .failed, "dmesg"), (EPERM, .failed, "root"), (EINTR, .failed, "interrupted"),
    (ENOMEM, .failed, "--queue-depth"), (EIO, .failed, "Input/output error"),
  ])
  func everyErrnoIsASentence(code: Int32, exit: Exit, words: String) {
    let failure = AttachRequest(link: "eth0", region: "swap0").failure(SystemError(code: code))
    #expect(failure.exit == exit)
    #expect(failure.message.contains(words))
    #expect(failure.errno == SystemError(code: code).name)
  }

  @Test func swapsWithPriorityAndDiscard() throws {
    let tree = try MadeUpTree()
    try tree.attach(0)
    let tools = NotedSwapTools()
    let options = SwapOptions(priority: 5, discard: true)
    _ = try AttachRequest(link: "eth0", region: "swap0").attach(tree.files, swap: options, tools)
    #expect(tools.calls == ["mkswap /dev/memx0", "swapon /dev/memx0 0x18005"])
    #expect(SwapOptions().flags == 0)
  }

  @Test func detachesAgainWhatCannotBeSwappedTo() throws {
    let tree = try MadeUpTree()
    try tree.attach(0)
    let tools = NotedSwapTools()
    tools.swaponError = EINVAL
    #expect(throws: Failure.self) {
      try AttachRequest(link: "eth0", region: "swap0")
        .attach(tree.files, swap: SwapOptions(), tools)
    }
    #expect(try tree.text("sys/block/memx0/memx/detach") == "1\n")
  }

  @Test func saysThatMkswapFailed() throws {
    let tools = NotedSwapTools()
    tools.mkswapStatus = 3
    #expect(throws: Failure(.failed, "mkswap /dev/memx0 failed with exit status 3")) {
      try tools.startSwapping(memx0, SwapOptions())
    }
  }
}

@Suite struct Detaching {
  let memx0 = try! DeviceName(parsing: "memx0")

  @Test(arguments: [(false, "1\n"), (true, "force\n")])
  func writesTheWord(force: Bool, text: String) throws {
    let tree = try MadeUpTree()
    try tree.attach(0)
    try detach(memx0, force: force, swapoff: false, tree.files, NotedSwapTools())
    #expect(try tree.text("sys/block/memx0/memx/detach") == text)
  }

  @Test func namesWhatIsAttachedInstead() throws {
    let tree = try MadeUpTree()
    try tree.attach(3)
    #expect(throws: Failure(.notThere, "memx0 is not attached; attached: memx3")) {
      try detach(memx0, force: false, swapoff: false, tree.files, NotedSwapTools())
    }
  }

  @Test func refusesSwapInUse() throws {
    let tree = try MadeUpTree()
    try tree.attach(0)
    try tree.swapTo(0)
    #expect {
      try detach(memx0, force: false, swapoff: false, tree.files, NotedSwapTools())
    } throws: {
      let failure = $0 as? Failure
      return failure?.exit == .failed
        && failure?.message.contains(
          "2.0 MiB on it; stop that first with: memxctl detach --swapoff")
          == true
    }
    #expect(try tree.text("sys/block/memx0/memx/detach") == "")
  }

  @Test func swapsOffFirst() throws {
    let tree = try MadeUpTree()
    try tree.attach(0)
    try tree.swapTo(0)
    let tools = NotedSwapTools()
    try detach(memx0, force: false, swapoff: true, tree.files, tools)
    #expect(tools.calls == ["swapoff /dev/memx0"])
    #expect(try tree.text("sys/block/memx0/memx/detach") == "1\n")
  }

  @Test func staysWhenMemoryIsTooSmallForSwapoff() throws {
    let tree = try MadeUpTree()
    try tree.attach(0)
    try tree.swapTo(0)
    let tools = NotedSwapTools()
    tools.swapoffError = ENOMEM
    #expect {
      try detach(memx0, force: false, swapoff: true, tree.files, tools)
    } throws: {
      ($0 as? Failure)?.message.contains("cannot take 2.0 MiB back from memx0") == true
    }
    #expect(try tree.text("sys/block/memx0/memx/detach") == "")
  }

  @Test func saysWhoUsesABusyDevice() throws {
    let tree = try MadeUpTree()
    try tree.attach(0)
    let busy = SystemError(code: EBUSY)
    #expect(detachFailure(busy, memx0, tree.files).message.contains("fuser -v /dev/memx0"))
    try tree.put("proc/mounts", "/dev/memx0 /mnt ext4 rw 0 0\n")
    #expect(detachFailure(busy, memx0, tree.files).message.contains("mounted on /mnt"))
  }
}
