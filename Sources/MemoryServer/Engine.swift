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
  /// What it has done, as it last published it.
  var current: EngineReport { get }
  /// Has the thread end; it closes its sessions first.
  func stop()
  /// Has the thread look at once whether a region is to be given back.
  func wake()
  /// The thread's work. Returns when `stop` was called.
  ///
  /// - Parameter ready: called once when frames are being answered.
  /// - Throws: why the link cannot be used now, at the start.
  func run(ready: () -> Void) throws
}

/// Settings of an engine.
struct EngineOptions: Sendable {
  var ringFrames = 4096
  var busyPoll_us: UInt64 = 50
  var maxSessions = 64
  var sessionTimeout_ms: UInt32 = 30_000
}

extension Logger {
  /// Says how a post-copy went.
  func note(_ transfer: TransferReport, link: String) {
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
