// SPDX-License-Identifier: Apache-2.0
import CMemx
import CTestSupport
import Foundation
import RMAP
import RemoteMemory
import Testing

/// A pair of connected sockets, closed with this object.
private final class Sockets {
  let ours: Int32
  private(set) var theirs: Int32

  init() throws {
    var pair: [Int32] = [-1, -1]
    let code = socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair)
    try #require(code == 0)
    (ours, theirs) = (pair[0], pair[1])
  }

  deinit {
    close(ours)
    closeTheirs()
  }

  func closeTheirs() {
    if theirs >= 0 { close(theirs) }
    theirs = -1
  }

  func send(_ text: String) {
    _ = text.withCString { write(theirs, $0, strlen($0)) }
  }
}

/// A forked program that has handed its memory over.
private final class ForeignProgram {
  let pid: Int32
  var placer: Placer
  private let sockets: Sockets

  convenience init(pages: UInt64, _ what: test_program) throws {
    let sockets = try Sockets()
    let pid = test_start_program(sockets.theirs, pages, what)
    try #require(pid > 0)
    try self.init(pid: pid, sockets: sockets, pages: pages)
  }

  private init(pid: Int32, sockets: Sockets, pages: UInt64) throws {
    self.pid = pid
    self.sockets = sockets
    placer = try Self.adopt(sockets.ours, pages: pages)
  }

  private static func adopt(_ socket: Int32, pages: UInt64) throws -> Placer {
    let handed = try HandOver.receive(from: socket, timeout_ms: 10_000)
    let area = handed.mappings[0].area(userfaultfd: 0)
    var table = UserfaultfdTable()
    try table.append(handed.take())
    let areas = try Areas([area], slots: pages, userfaultfds: 1)
    return Placer(areas: areas, userfaultfds: table, states: SlotStates(slots: pages))
  }

  /// Its wait status, or nil while it runs.
  func status() -> Int32? {
    var status: Int32 = 0
    return waitpid(pid, &status, WNOHANG) == pid ? status : nil
  }
}

@Suite(.serialized) struct HandOverTests {
  @Test(arguments: [false, true])
  func aForeignProgramIsServed(withPushes: Bool) throws {
    let program = try ForeignProgram(pages: 512, TEST_PROGRAM_VERIFY)
    let source = SourcePages(512)
    let pid = program.pid
    var status: Int32 = -1
    var next: UInt64 = 0
    _ = try serve(
      &program.placer, source, until: { waitpid(pid, &status, WNOHANG) == pid },
      push: { placer in
        for _ in 0..<8 where withPushes && next < 512 {
          let pushed = try placer.place(slot: next, page: source[next])
          #expect(pushed)
          next += 1
        }
      })
    #expect(status == 0)
    #expect(program.placer.states.isComplete == true)
    #expect(program.placer.counters.placed == 512)
  }

  @Test func aDiscardedRangeIsNotFilledAgain() throws {
    let program = try ForeignProgram(pages: 128, TEST_PROGRAM_DISCARD)
    let source = SourcePages(128)
    let pid = program.pid
    var status: Int32 = -1
    var hasPushed = false
    _ = try serve(
      &program.placer, source, until: { waitpid(pid, &status, WNOHANG) == pid },
      push: { placer in
        // Once the second half is gone, every page comes, old ones of that half included.
        guard !hasPushed, placer.states[127] == .present else { return }
        for slot in UInt64(0)..<128 { _ = try placer.place(slot: slot, page: source[slot]) }
        hasPushed = true
      })
    #expect(status == 0)
    #expect(hasPushed)
  }

  @Test func aProgramKilledInTheMiddleOfAPush() throws {
    let program = try ForeignProgram(pages: 1024, TEST_PROGRAM_STAY)
    let source = SourcePages(1024)
    for slot in UInt64(0)..<500 { _ = try program.placer.place(slot: slot, page: source[slot]) }
    #expect(try program.placer.flush())
    #expect(kill(program.pid, SIGKILL) == 0)
    var status: Int32 = 0
    #expect(waitpid(program.pid, &status, 0) == program.pid)
    for slot in UInt64(500)..<1024 {
      _ = try program.placer.place(slot: slot, page: source[slot])
    }
    #expect(try program.placer.flush())
    #expect(program.placer.states.isComplete == true, "nobody wants the rest")
    #expect(program.placer.counters.placed == 500)
    let counters = program.placer.counters
    #expect(counters.unwanted + counters.alreadyThere == 524)
  }

  @Test func anAccessToALostPageEndsInSIGBUS() throws {
    let program = try ForeignProgram(pages: 8, TEST_PROGRAM_VERIFY)
    let source = SourcePages(8)
    let lost = try program.placer.lose(slot: 7)
    #expect(lost)
    let pid = program.pid
    var status: Int32 = 0
    _ = try serve(&program.placer, source, until: { waitpid(pid, &status, WNOHANG) == pid })
    #expect(status & 0x7f == SIGBUS)
  }

  @Test func aWaitingThreadIsEndedByTheLossOfItsPage() throws {
    let program = try ForeignProgram(pages: 8, TEST_PROGRAM_VERIFY)
    var batch = EventBatch()
    var asked = AskedSlots()
    let end = Date().addingTimeInterval(30)
    while asked.slots.isEmpty {
      try #require(Date() < end)
      try program.placer.takeEvents(of: 0, batch: &batch, sink: &asked)
    }
    let lost = try program.placer.lose(slot: asked.slots[0])
    #expect(lost)
    var status: Int32? = nil
    while status == nil {
      try #require(Date() < end)
      status = program.status()
    }
    #expect(status! & 0x7f == SIGBUS)
  }

  @Test func whatIsSentIsWhatIsReceived() throws {
    let sockets = try Sockets()
    let userfaultfd = try Userfaultfd()
    let mappings = (UInt64(1)...512).map {
      HandedMapping(address: $0 << 32, length: $0 << 12, offset: $0 << 22)
    }
    try HandOver.send(userfaultfd, mappings: mappings, over: sockets.theirs)
    let handed = try HandOver.receive(from: sockets.ours, timeout_ms: 10_000)
    #expect(handed.mappings == mappings)
    #expect(handed.userfaultfd.fileDescriptor != userfaultfd.fileDescriptor)
    #expect(
      handed.mappings[2].area(userfaultfd: 4, firstSlot: 10)
        == Area(userfaultfd: 4, address: 3 << 32, firstSlot: 10 + 3 << 10, pages: 3))
  }

  @Test(arguments: [
    ("", "closed before"), ("[{", "closed before"), ("hello", "\"[\" expected at byte 0"),
    ("[]", "1 to 512 mappings, not 0"), ("[1]", "\"{\" expected at byte 1"),
    ("[{}]", "expected at byte 2"),
    (#"[{"size":4096,"offset":0}]"#, "needs the numbers"),
    (#"[{"base_host_virt_addr":4096,"size":4096,"offset":0}]"#, "without a descriptor"),
    (
      #"[{"base_host_virt_addr":4096,"size":4096,"offset":0,"x":"]\"}","y":null}]"#,
      "without a desc"
    ),
    (#"[{"base_host_virt_addr":4097,"size":4096,"offset":0}]"#, "not whole pages"),
    (#"[{"base_host_virt_addr":4096,"size":0,"offset":0}]"#, "not whole pages"),
    (#"[{"base_host_virt_addr":4096,"size":4096,"offset":1}]"#, "is not of a page"),
    (#"[{"base_host_virt_addr":-4096,"size":4096,"offset":0}]"#, "a whole number"),
    (#"[{"base_host_virt_addr":1e9,"size":4096,"offset":0}]"#, "a whole number"),
    (#"[{"base_host_virt_addr":18446744073709551616,"size":4096,"offset":0}]"#, "a whole number"),
    (#"[{"base_host_virt_addr":18446744073709547520,"size":8192,"offset":0}]"#, "not whole pages"),
    (#"[{"base_host_virt_addr":4096,"size":4096,"size":4096,"offset":0}]"#, "twice"),
    (#"[{"base_host_virt_addr":4096,"size":4096,"offset":0,"a":[]}]"#, "a whole number"),
    (
      #"[{"base_host_virt_addr":0,"size":2097152,"offset":0,"page_size_kib":2097152}]"#,
      "without huge pages"
    ),
    ("[" + String(repeating: " ", count: 65_536), "more than 65536 bytes"),
  ])
  func wrongMessagesAreRefused(text: String, says: String) throws {
    let sockets = try Sockets()
    sockets.send(text)
    sockets.closeTheirs()
    do {
      _ = try HandOver.receive(from: sockets.ours, timeout_ms: 10_000)
      Issue.record("was accepted")
    } catch {
      #expect(error.description.contains(says), "\(error)")
    }
  }

  @Test func aLateMessageIsRefused() throws {
    let sockets = try Sockets()
    sockets.send("[{")
    do {
      _ = try HandOver.receive(from: sockets.ours, timeout_ms: 20)
      Issue.record("was accepted")
    } catch {
      #expect(error.description.contains("no whole message within 20 ms"))
    }
  }

  @Test func anotherDescriptorIsRefusedAndNotLeaked() throws {
    let sockets = try Sockets()
    let text = #"[{"base_host_virt_addr":4096,"size":4096,"offset":0}]"#
    let before = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
    #expect(memx_descriptor_send(sockets.theirs, text, text.utf8.count, 0) == text.utf8.count)
    do {
      _ = try HandOver.receive(from: sockets.ours, timeout_ms: 10_000)
      Issue.record("was accepted")
    } catch {
      #expect(error.description.contains("is not one of userfaultfd"))
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count == before)
  }
}
