// SPDX-License-Identifier: Apache-2.0
import CTestSupport
import Foundation
import RMAP
@testable import RemoteMemory
import Synchronization
import Testing

@Suite(.serialized) struct UserfaultfdTests {
  /// Opens one in a thread without rights: the message, or "" if it opened, and whether it serves the
  /// kernel's faults.
  private func openWithoutRights(
    _ faults: Userfaultfd.Faults
  ) -> (message: String, servesKernelFaults: Bool?) {
    let found = Mutex<(String, Bool?)>(("", nil))
    let thread = ProgramThread {
      let code = test_drop_privileges()
      precondition(code == 0)
      do {
        let userfaultfd = try Userfaultfd(serving: faults)
        let serves = userfaultfd.servesKernelFaults
        found.withLock { $0 = ("", serves) }
      } catch {
        found.withLock { $0 = ("\(error)", nil) }
      }
    }
    while !thread.hasEnded { sched_yield() }
    return found.withLock { $0 }
  }

  @Test func withoutPermissionTheMessageSaysWhatIsMissing() throws {
    // The one setting of the machine that would permit it.
    let sysctl = try String(
      contentsOfFile: "/proc/sys/vm/unprivileged_userfaultfd", encoding: .utf8)
    try #require(sysctl == "0\n", "this test needs vm.unprivileged_userfaultfd=0")
    let (message, serves) = openWithoutRights(.all)
    #expect(serves == nil)
    for word in [
      "vm.unprivileged_userfaultfd", "CAP_SYS_PTRACE", "/dev/userfaultfd: Permission denied",
      "userfaultfd(2): Operation not permitted",
    ] {
      #expect(message.contains(word), "\(message)")
    }
  }

  @Test func faultsOfUserModeAloneNeedNoPermission() {
    let (message, serves) = openWithoutRights(.userModeAtLeast)
    #expect(message == "")
    #expect(serves == false)
  }

  @Test func rootServesTheKernelsFaultsToo() throws {
    for faults in [Userfaultfd.Faults.all, .userModeAtLeast] {
      let userfaultfd = try Userfaultfd(serving: faults)
      #expect(userfaultfd.servesKernelFaults == true)
      #expect(userfaultfd.isAdopted == false)
      #expect(fcntl(userfaultfd.fileDescriptor, F_GETFD) == FD_CLOEXEC)
    }
  }

  @Test func aFaultOfTheKernelIsServed() throws {
    let memory = try OwnMemory(pages: 1)
    var placer = try ownService(memory)
    let source = SourcePages(1)
    let address = Int(memory.address)
    let got = Atomic<Int>(0)
    let thread = ProgramThread {
      let zero = open("/dev/zero", O_RDONLY)
      got.store(read(zero, UnsafeMutableRawPointer(bitPattern: address)!, 8), ordering: .relaxed)
      close(zero)
    }
    let asked = try serve(&placer, source, until: { thread.hasEnded })
    #expect(got.load(ordering: .relaxed) == 8)
    #expect(asked.slots == [0] && asked.writes == 1)
    #expect(memory.base.load(as: UInt64.self) == 0)
    #expect(memory.base.load(fromByteOffset: 8, as: UInt64.self) == 1)
  }

  @Test func obstaclesHaveTheirNames() throws {
    let memory = try OwnMemory(pages: 8)
    let userfaultfd = try Userfaultfd()
    let source = SourcePages(8)
    #expect(
      userfaultfd.copy(to: memory.address, from: source[0], pages: 1).obstacle == .unmapped,
      "not registered yet")
    try userfaultfd.register(address: memory.address, length: memory.length)
    #expect(
      userfaultfd.copy(to: memory.address + 3 * 4096, from: source[3], pages: 1)
        == .init(placed: 1, obstacle: nil))
    #expect(
      userfaultfd.copy(to: memory.address, from: source[0], pages: 8)
        == .init(placed: 3, obstacle: .alreadyThere))
    #expect(
      userfaultfd.zero(at: memory.address + 4 * 4096, pages: 2)
        == .init(placed: 2, obstacle: nil))
    #expect(
      userfaultfd.copy(
        to: memory.address + 6 * 4096, from: UnsafeRawPointer(bitPattern: 4096)!, pages: 1)
        == .init(placed: 0, obstacle: .failed(EFAULT)))
    #expect(holds(memory.base + 2 * 4096, 3))
    try userfaultfd.unregister(address: memory.address, length: memory.length)
    #expect(holds(memory.base + 7 * 4096, 0), "unregistered memory is as usual")
  }

  @Test func wrongRangesAreRefused() throws {
    let memory = try OwnMemory(pages: 4)
    let userfaultfd = try Userfaultfd()
    for (address, length) in [
      (memory.address + 1, UInt64(4096)), (memory.address, 4095), (memory.address, 0),
      (UInt64.max - 4095, 8192), (4096, 4096),
    ] {
      #expect(throws: RemoteMemoryError.self) {
        try userfaultfd.register(address: address, length: length)
      }
    }
    try userfaultfd.register(address: memory.address, length: memory.length)
    let other = try Userfaultfd()
    do {
      try other.register(address: memory.address, length: memory.length)
      Issue.record("two userfaultfds have one range")
    } catch {
      #expect(error.description.contains("another userfaultfd has it"))
    }
    #expect(throws: RemoteMemoryError.self) { _ = try Userfaultfd(adopting: 0) }
    #expect(throws: RemoteMemoryError.self) { _ = try Userfaultfd(adopting: -1) }
  }
}
