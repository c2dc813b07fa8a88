// SPDX-License-Identifier: Apache-2.0
import Links
import Logging
import RMAP

/// What one engine has done, as its thread last published it.
public struct EngineReport: Sendable {
  public var link = ""
  /// The interface's Ethernet address, or the device's IP address.
  public var address = ""
  public var mtu = 0
  public var isUp = true
  public var receivedFrames: UInt64 = 0
  /// Frames that the receive ring had no room for.
  public var ringDrops: UInt64 = 0
  public var sender = SendCounters()
  /// Over RDMA.
  public var refusals = RefusalCounters()
  public var counters = ServerCounters()
  public var sessions: [SessionReport] = []
  /// Of clients over RDMA: the IP address behind what stands for the connection.
  public var clientAddresses: [MACAddress: String] = [:]
  /// Post-copies under way.
  public var transfers: [TransferReport] = []
  public var endedTransfers: UInt64 = 0
  /// How often the thread slept because there was nothing to do.
  public var sleeps: UInt64 = 0
  /// CPU time of the thread.
  public var cpu_us: UInt64 = 0
  /// Grows while the thread is alive, at least once a second.
  public var heartbeat: UInt64 = 0
}

/// One link's thread: takes frames in, has the sessions answer them, sends the answers.
protocol Engine: Sendable {
  /// By which other threads stop and wake it, and see what it has done.
  var control: EngineControl { get }
  /// The thread's work. Returns when ``EngineControl/stop()`` was called.
  ///
  /// - Parameter ready: called once when frames are being answered.
  /// - Throws: why the link cannot be used now, at the start.
  func run(ready: () -> Void) throws
}

extension Engine {
  /// Frames answered before the answers are sent: enough to share system calls, few enough that the
  /// first does not wait long.
  static var batch: Int { 16 }
  /// How often at most is done what has to be done now and then.
  static var tick_ns: UInt64 { 50_000_000 }
  /// A shorter wait for the next push is not worth a sleep.
  static var leastSleep_ns: UInt64 { 20_000 }
}

/// What an engine serves, and how.
struct EngineSetup: Sendable {
  /// By which a region knows the engine that has it; 1 at least.
  var number: Int
  /// Those in the arena.
  var regions: [Region]
  /// Those that come and go.
  var seats: RegionSeats
  var ringFrames: Int
  var busyPoll_us: UInt64
  var maxSessions: Int
  var sessionTimeout_ms: UInt32
  var logger: Logger
}

extension EngineReport {
  /// Takes over what sessions and post-copies have come to.
  mutating func note(
    _ core: inout ServerCore<RegionTable>, now_ns: UInt64, logger: Logger
  ) {
    sessions = core.sessions(now_ns: now_ns)
    transfers = core.transfers()
    core.store.publish(transfers)
    if let ended = core.takeEndedTransfer() {
      endedTransfers += 1
      logger.note(ended, link: link)
    }
  }

  /// Notes whether the link is up, and says so when that has changed.
  ///
  /// - Parameter isUp: nil when it is gone.
  mutating func note(isUp: Bool?, logger: Logger) {
    if let isUp, isUp != self.isUp {
      logger.notice(isUp ? "link is up" : "link is down", metadata: ["link": "\(link)"])
    }
    self.isUp = isUp ?? false
  }

  /// Takes what a link and its sessions have counted, and what those before them had.
  mutating func count(
    sent: SendCounters, refused: RefusalCounters = RefusalCounters(), done: ServerCounters,
    after former: EngineReport
  ) {
    sender = former.sender + sent
    refusals = former.refusals + refused
    counters = former.counters + done
  }
}

extension Logger {
  /// Says how a post-copy went.
  fileprivate func note(_ transfer: TransferReport, link: String) {
    notice(
      "post-copy has ended",
      metadata: [
        "link": "\(link)", "strategy": "\(transfer.strategy)", "pages": "\(transfer.pages)",
        "pushed": "\(transfer.pushed)", "fetched": "\(transfer.fetched)",
        "overlapped": "\(transfer.overlapped)", "already_there": "\(transfer.alreadyThere)",
        "unused": "\(transfer.unused.map(String.init) ?? "unknown")",
        "retransmitted": "\(transfer.retransmitted)", "complete": "\(transfer.isComplete)",
      ])
  }
}
