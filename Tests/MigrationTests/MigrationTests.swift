// SPDX-License-Identifier: Apache-2.0
import Console
import Control
import Glibc
import Processes
import Testing

@testable import Migration

/// Both ends of a migration over a real pipe, with a shell script in place of `xl` and a XenStore in memory: what
/// is asked of the toolstack, in which order, and where the guest is when something goes wrong.
@Suite(.serialized) struct MigrationTests {
  /// The guest's state: longer than a pipe holds.
  private static let guest = "exec seq 1 100000"

  private func source(save: String = guest) throws -> MadeUpToolstack {
    try MadeUpToolstack(domains: ["guest": 5], save: save)
  }

  private func message<Value>(_ result: Result<Value, Failure>) -> String {
    guard case .failure(let failure) = result else { return "" }
    return failure.message
  }

  @Test func guestMoves() throws {
    let hosts = try Hosts(source: source(), target: MadeUpToolstack())
    let (moved, received) = try hosts.migrate()
    let report = try moved.get()
    try received.get()
    #expect(hosts.source.calls == ["domid guest", "save -p guest /proc/self/fd/1", "destroy 5"])
    #expect(
      hosts.target.calls == [
        "info", "domid guest", "restore /proc/self/fd/0", "domid guest",
      ])
    #expect(hosts.target.restored == (1...100000).map { "\($0)\n" }.joined())
    #expect(report.residual_bytes > UInt64(hosts.target.restored.utf8.count))
    #expect(report.precopied_pages == 0)
    #expect(report.memory_pages == 32768)
    #expect(report.slots_used == 1200)
    #expect(report.slots_frozen == 300)
    #expect(report.pages_transferred == 1200)
    #expect(report.network_fault_percent == 10)
    #expect(hosts.sourceStore[Hosts.serve + "/state"] == nil, "memxd still serves the domain")
    let parameters = ["server", "strategy", "rate", "prepare_s"].map {
      hosts.sourceStore["\(Hosts.guest)/\($0)"]
    }
    #expect(parameters == ["52:54:00:12:34:56", "", "0", "120"])
    #expect(hosts.sourceStore[Hosts.guest + "/token"]?.count == 32)
  }

  /// Pages that the guest cannot page out go ahead, and only those that it has changed since once more.
  @Test(arguments: [UInt64(1) << 30, 0])
  func residentPagesGoAhead(available_bytes: UInt64) throws {
    let pages = (0..<3000).map { (pfn: UInt64($0 * 2), word: UInt64($0)) }
    func contents(_ word: UInt64) -> [UInt8] {
      (0..<512).flatMap { _ in withUnsafeBytes(of: word.littleEndian) { Array($0) } }
    }
    let image = MadeUpImage(
      pages.map { ($0.pfn, contents($0.pfn % 100 == 0 ? 1 << 40 : $0.word)) })
    let hosts = try Hosts(
      source: source(save: "exec cat \"$d/image\""),
      target: MadeUpToolstack(restore: "cat > \"$d/restored\"; echo 9 > \"$d/domain.guest\""))
    try hosts.source.put("image", image.bytes)
    let tree = hosts.frames.makeTree(
      slots: 32768,
      pages: Dictionary(uniqueKeysWithValues: pages.map { (Int($0.pfn), $0.word) }))
    // One has been given back since.
    hosts.frames.release(tree.frames[14]!)
    hosts.sourceStore.put(
      Hosts.guest + "/resident",
      "\(String(tree.root, radix: 16)) \(String(tree.generation, radix: 16))")

    let (moved, received) = try hosts.migrate(available_bytes: available_bytes)
    let report = try moved.get()
    try received.get()
    #expect(try hosts.target.bytes("restored") == image.bytes)
    #expect(hosts.frames.mappedCount == 0)
    if available_bytes > 0 {
      #expect(report.precopied_pages == 2999)
      #expect(report.residual_bytes < 61 * 4096 + 60_000)
    } else {
      // The target has no room to keep them.
      #expect(report.precopied_pages == 0)
      #expect(report.residual_bytes >= UInt64(image.bytes.count))
    }
  }

  @Test(arguments: [
    ("what", "instead of frame and generation"), ("fff 1", "cannot be read"),
  ])
  func residentPagesAreNotToBeHad(root: String, says: String) throws {
    let hosts = try Hosts(source: source(), target: MadeUpToolstack())
    hosts.sourceStore.put(Hosts.guest + "/resident", root)
    let (moved, received) = try hosts.migrate()
    #expect(message(moved).contains(says) && message(moved).contains("runs on here"))
    #expect(throws: Failure.self) { try received.get() }
    #expect(hosts.sourceStore[Hosts.guest + "/last_request"] == "cancel")
    #expect(hosts.source.calls == ["domid guest"])
  }

  @Test func otherVersionIsRefused() throws {
    let (input, output) = (try Pipe(), try Pipe())
    printLine("memx-migrate domain=guest memory_mib=64 version=1", to: input.writeEnd)
    var receiver = TargetReceiver(
      store: MadeUpStore([:]) { _, _, _ in }, toolstack: try MadeUpToolstack().toolstack,
      input: input.readEnd, output: output.writeEnd)
    #expect { try receiver.run() } throws: { "\($0)".contains("another version") }
  }

  @Test func targetIsFull() throws {
    let hosts = try Hosts(source: source(), target: MadeUpToolstack(freeMemory_mib: 64))
    let (moved, _) = try hosts.migrate()
    #expect(message(moved).contains("64 MiB are free here, 144 MiB are needed"))
    #expect(message(moved).contains("runs on here"))
    #expect(hosts.source.calls == ["domid guest"])
    #expect(hosts.sourceStore[Hosts.guest + "/last_request"] == nil)
  }

  @Test func targetHasThatDomain() throws {
    let hosts = try Hosts(source: source(), target: MadeUpToolstack(domains: ["guest": 3]))
    #expect(message(try hosts.migrate().source).contains("a domain called guest is here already"))
  }

  @Test func guestCannotPageOut() throws {
    let hosts = try Hosts(source: source(), target: MadeUpToolstack(), prepared: "failed")
    hosts.sourceStore.put(Hosts.guest + "/error", "no swap on it")
    let (moved, _) = try hosts.migrate()
    #expect(message(moved).contains("no swap on it"))
    #expect(hosts.source.calls == ["domid guest"])
    #expect(hosts.sourceStore[Hosts.guest + "/last_request"] == "cancel")
    #expect(hosts.sourceStore[Hosts.serve + "/region"] == nil)
  }

  @Test func somebodyElseCancelsThePreparation() throws {
    let hosts = try Hosts(source: source(), target: MadeUpToolstack(), prepared: "preparing")
    let store = hosts.sourceStore
    let (moved, received) = try hosts.migrate(isCancelled: {
      store.put(Hosts.guest + "/state", "idle")
      return false
    })
    #expect(message(moved).contains("cannot page out") && message(moved).contains("runs on here"))
    #expect(throws: Failure.self) { try received.get() }
    #expect(hosts.source.calls == ["domid guest"])
  }

  @Test func saveFails() throws {
    let hosts = try Hosts(
      source: source(save: "echo some; echo cannot suspend >&2; exit 3"),
      target: MadeUpToolstack(restore: "head -n 1 > /dev/null; exit 1"))
    let (moved, received) = try hosts.migrate()
    #expect(message(moved).contains("cannot suspend"))
    #expect(message(moved).contains("runs on here"))
    #expect(throws: Failure.self) { try received.get() }
    #expect(!hosts.source.calls.contains { $0.hasPrefix("destroy") })
    #expect(hosts.sourceStore[Hosts.serve + "/region"] == nil)
  }

  @Test(arguments: [1, 1_000_000])
  func restoreFails(after lines: Int) throws {
    let hosts = try Hosts(
      // More than the pipes hold.
      source: source(save: "exec seq 1 1000000"),
      target: MadeUpToolstack(
        restore: "head -n \(lines) > /dev/null; echo no such kernel >&2; exit 1"))
    let (moved, received) = try hosts.migrate()
    #expect(message(moved).contains("no such kernel"))
    #expect(message(moved).contains("runs on here"))
    #expect(throws: Failure.self) { try received.get() }
    // What was saved as a whole is paused; else xl itself lets it run on.
    #expect(hosts.source.calls.contains("unpause 5") == (lines > 1))
    #expect(!hosts.source.calls.contains { $0.hasPrefix("destroy") })
  }

  @Test func cancelledWhileItMoves() throws {
    // Like xl: it ends when nobody reads the guest any more, and says that the domain runs on.
    let hosts = try Hosts(
      source: source(save: "yes; echo resuming domain >&2; exit 1"),
      target: MadeUpToolstack(restore: "head -n 1 > /dev/null; exit 1"))
    let source = hosts.source
    let (moved, received) = try hosts.migrate(isCancelled: {
      source.calls.contains { $0.hasPrefix("save") }
    })
    #expect(message(moved).hasPrefix("cancelled"))
    #expect(throws: Failure.self) { try received.get() }
    #expect(!hosts.source.calls.contains { $0.hasPrefix("destroy") })
  }

  @Test func guestCannotHandItsPagesOver() throws {
    // Suspended all the same, it says so before its memory has gone out.
    let hosts = try Hosts(
      source: source(save: "yes; exit 1"),
      target: MadeUpToolstack(restore: "exec cat > /dev/null"))
    hosts.sourceStore.put(Hosts.guest + "/error", "no memory for the list")
    let (moved, received) = try hosts.migrate(suspended: "failed")
    #expect(message(moved).contains("no memory for the list"))
    #expect(message(moved).contains("runs on here"))
    #expect(throws: Failure.self) { try received.get() }
    #expect(!hosts.source.calls.contains { $0.hasPrefix("destroy") })
  }

  @Test func guestMovesAsAWhole() throws {
    let hosts = try Hosts(source: source(), target: MadeUpToolstack())
    try hosts.targetStore.remove(Hosts.arrived + "/state")
    let (moved, received) = try hosts.migrate(suspended: "idle")
    #expect(try moved.get().pages_transferred == 0)
    try received.get()
    #expect(hosts.source.calls.last == "destroy 5")
  }

  @Test func guestLosesPages() throws {
    let hosts = try Hosts(source: source(), target: MadeUpToolstack(), end: "failed")
    hosts.targetStore.put(Hosts.arrived + "/missing", "17")
    hosts.targetStore.put(Hosts.arrived + "/error", "the server is silent for 30 s")
    let (moved, _) = try hosts.migrate()
    #expect(message(moved).contains("lost 17 pages: the server is silent for 30 s"))
    #expect(!hosts.source.calls.contains { $0.hasPrefix("destroy") })
  }

  @Test(arguments: [
    ("/local/domain/0/memx/server/ethernet", nil, "memxd --xen --link INTERFACE"),
    (Hosts.guest + "/transport", "rdma", "memxd --xen --link rdma:ADDRESS"),
    (Hosts.guest + "/version", nil, "no pseudo-paging device"),
    (Hosts.guest + "/version", "1", "same version"),
    (Hosts.guest + "/state", "postcopy", "being migrated already"),
    (Hosts.guest + "/state", "preparing", "being migrated already"),
  ])
  func checks(path: String, value: String?, says: String) throws {
    let hosts = try Hosts(source: source(), target: MadeUpToolstack())
    if let value { hosts.sourceStore.put(path, value) } else { try hosts.sourceStore.remove(path) }
    #expect(message(try hosts.migrate().source).contains(says))
    #expect(hosts.target.calls == [])
  }

  @Test func nothingAnswersAtTheTarget() throws {
    let request = MigrationRequest(domain: "guest", channel: ["/bin/sh", "-c", "exit 1"])
    let hosts = try Hosts(source: source(), target: MadeUpToolstack())
    var migration = SourceMigration(
      request, store: hosts.sourceStore, mapper: hosts.frames, toolstack: hosts.source.toolstack,
      isCancelled: { false }, progress: { _ in })
    #expect(throws: Failure.self) { try migration.run() }
    #expect(hosts.sourceStore[Hosts.guest + "/last_request"] == nil)
  }
}

@Suite struct LineTests {
  @Test func textIsLastAndKeepsBlanks() throws {
    let line = Line("failed", ["missing": "3", "text": "no a=b left\nreally"])
    #expect(line.text == "failed missing=3 text=no a=b left really")
    let back = try #require(Line(parsing: line.text))
    #expect(back.word == "failed")
    #expect(back.number("missing") == 3)
    #expect(back.values["text"] == "no a=b left really")
  }

  @Test(arguments: ["", "   ", "a=b", "word value", "word =1", "\u{0}"])
  func otherForms(text: String) {
    #expect(text == "\u{0}" || Line(parsing: text) == nil)
  }

  @Test func readsNoByteTooMany() throws {
    var ends: [Int32] = [-1, -1]
    #expect(pipe(&ends) == 0)
    writeAll(Array("ready\nstream".utf8), to: ends[1])
    var channel = LineChannel(input: ends[0], output: -1)
    guard case .line(let line) = channel.receive(timeout_ms: 1000) else {
      Issue.record("no line")
      return
    }
    #expect(line.word == "ready")
    var rest = [UInt8](repeating: 0, count: 16)
    #expect(read(ends[0], &rest, 16) == 6)
    for end in ends { close(end) }
  }
}
