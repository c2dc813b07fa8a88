// SPDX-License-Identifier: Apache-2.0
import Control
import Glibc
import Links
import Migration
import Synchronization
import TestSupport

/// Two hosts with made-up toolstacks, and a real connection between `memxctl migrate` and `memxctl receive`.
struct Hosts {
  static let guest = "/local/domain/5/data/memx"
  static let serve = "/local/domain/0/memx/serve/5"
  static let arrived = "/local/domain/9/data/memx"

  var source: MadeUpToolstack
  var target: MadeUpToolstack
  let sourceStore: MadeUpStore
  let targetStore: MadeUpStore
  /// The guest's memory at the source.
  let frames = GuestFrames(domain: 5)
  private let directory: TemporaryDirectory

  /// - Parameters:
  ///   - prepared: what the guest's module says when it is asked to page out.
  ///   - end: what the module says at the target, and memxd at the source, in the end.
  init(
    source: MadeUpToolstack, target: MadeUpToolstack, prepared: String = "prepared",
    end: String = "complete"
  ) throws {
    self.source = source
    self.target = target
    directory = try TemporaryDirectory()
    for name in ["to", "from"] {
      guard mkfifo("\(directory.path)/\(name)", 0o600) == 0 else {
        throw Failure(.failed, "mkfifo")
      }
    }
    sourceStore = MadeUpStore([
      "/local/domain/0/memx/server/ethernet": "52:54:00:12:34:56", "\(Self.guest)/version": "2",
      "\(Self.guest)/state": "idle", "\(Self.guest)/used": "1200",
      "\(Self.guest)/slots_frozen": "300",
      "/local/domain/5/memory/target": "131072",
    ]) { store, path, value in
      if path == "\(Self.guest)/request" {
        let state = ["prepare": "preparing", "page-out": prepared][value] ?? "idle"
        store.put("\(Self.guest)/state", state)
        store.put("\(Self.guest)/last_request", value)
        try? store.remove(path)
      }
      if path == "\(Self.serve)/region" { store.put("\(Self.serve)/state", "serving") }
    }
    targetStore = MadeUpStore([
      "/local/domain/9/domid": "9", "\(Self.arrived)/state": end,
      "\(Self.arrived)/pushed": "1100", "\(Self.arrived)/fetched": "100",
      "\(Self.arrived)/network_faults": "90", "\(Self.arrived)/minor_faults": "810",
      "\(Self.arrived)/missing": "0",
    ]) { _, _, _ in }
  }

  /// Migrates.
  ///
  /// - Parameters:
  ///   - suspended: what the guest's module says once it is suspended.
  ///   - available_bytes: how much memory programs of the target can have.
  /// - Returns: how it went at the source, and at the target (a failure when it was not reached).
  func migrate(
    suspended: String = "frozen", available_bytes: UInt64 = 1 << 30,
    isCancelled: @escaping @Sendable () -> Bool = { false }
  ) throws -> (source: Result<MigrationReport, Failure>, target: Result<Void, Failure>) {
    signal(SIGPIPE, SIG_IGN)
    let (to, from) = ("\(directory.path)/to", "\(directory.path)/from")
    let receiving = try Receiving(
      targetStore, target.toolstack, input: to, output: from, available_bytes: available_bytes)
    let request = MigrationRequest(
      domain: "guest", channel: ["/bin/sh", "-c", "cat '\(from)' & exec cat > '\(to)'"])
    var migration = SourceMigration(
      request, store: sourceStore, mapper: frames, toolstack: source.toolstack,
      isCancelled: {
        if source.calls.contains(where: { $0.hasPrefix("save") }) {
          sourceStore.put("\(Self.guest)/state", suspended)
        }
        return isCancelled()
      }, progress: { _ in })
    let result = Result { () throws(Failure) in try migration.run() }
    return (result, receiving.outcome())
  }
}

/// `memxctl receive` on a thread.
private final class Receiving: Sendable {
  private let thread: LinkThread
  private let ends: (input: String, output: String)

  init(
    _ store: MadeUpStore, _ toolstack: Toolstack, input: String, output: String,
    available_bytes: UInt64
  ) throws {
    let box = Outcome()
    outcomeBox = box
    ends = (input, output)
    thread = LinkThread {
      let input = open(input, O_RDONLY | O_CLOEXEC)
      let output = open(output, O_WRONLY | O_CLOEXEC)
      var receiver = TargetReceiver(
        store: store, toolstack: toolstack, input: input, output: output,
        available_bytes: { available_bytes })
      let outcome = Result { () throws(Failure) in try receiver.run() }
      close(input)
      close(output)
      box.value.withLock { $0 = outcome }
    }
    try thread.start()
  }

  private let outcomeBox: Outcome

  /// Waits for its end; a source that failed its checks has never reached it.
  func outcome() -> Result<Void, Failure> {
    // Whoever opens a FIFO waits for the other side.
    let input = open(ends.input, O_RDWR | O_CLOEXEC)
    let output = open(ends.output, O_RDWR | O_CLOEXEC | O_NONBLOCK)
    close(input)
    thread.join()
    close(output)
    return outcomeBox.value.withLock { $0! }
  }
}

private final class Outcome: Sendable {
  let value = Mutex<Result<Void, Failure>?>(nil)
}
