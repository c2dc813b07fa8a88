// SPDX-License-Identifier: Apache-2.0
import CMemx
import Glibc
import Links
import Logging
import RMAP
import Synchronization

/// An Ethernet interface's thread.
///
/// While frames keep coming it polls the ring; after `busyPoll_us` without one it sleeps in `poll`.
final class EthernetEngine: Engine {
  /// Frames answered before the answers are sent: enough to share system calls, few enough that the
  /// first does not wait long.
  private static var batch: Int { 16 }
  private static var tick_ns: UInt64 { 50_000_000 }
  /// A shorter wait for the next push is not worth a sleep.
  private static var leastSleep_ns: UInt64 { 20_000 }
  /// How long to wait before a link that is gone is looked for again.
  private static var reopen_ms: Int32 { 900 }

  private let name: String
  private let number: Int
  private let options: EngineOptions
  private let regions: [Region]
  private let seats: RegionSeats
  private let logger: Logger
  private let report = Mutex(EngineReport())
  private let stopping = Atomic<Bool>(false)
  private let wakeDescriptor: Int32

  /// - Parameters:
  ///   - regions: those in the arena.
  ///   - seats: those that come and go.
  init(
    link: String, number: Int, regions: [Region], seats: RegionSeats, options: EngineOptions,
    logger: Logger
  ) throws {
    name = link
    self.number = number
    self.regions = regions
    self.seats = seats
    self.options = options
    self.logger = logger
    wakeDescriptor = memx_wake_open()
    guard wakeDescriptor >= 0 else { throw ConfigurationError("cannot make an eventfd") }
  }

  deinit { close(wakeDescriptor) }

  var current: EngineReport { report.withLock { $0 } }

  func stop() {
    stopping.store(true, ordering: .releasing)
    memx_wake(wakeDescriptor)
  }

  func wake() { memx_wake(wakeDescriptor) }

  /// A link that goes away later, or whose MTU changes, is opened again as soon as that is possible; its
  /// sessions end, and their clients attach again.
  func run(ready: () -> Void) throws {
    memx_thread_name("memx:\(name.prefix(10))")
    // Pushes are spaced by microseconds.
    memx_timer_slack(1)
    var link = try EthernetLink(name, ringFrames: options.ringFrames, pushes: true)
    var state = EngineReport(link: name)
    ready()
    while true {
      let end = serve(&link, &state)
      guard end != .stopped else { return }
      guard let reopened = reopen(after: end, &state) else { return }
      link = reopened
    }
  }

  /// Why frames are no longer answered.
  private enum End {
    case stopped
    case gone
    case changed
  }

  private func serve(_ link: inout EthernetLink, _ state: inout EngineReport) -> End {
    var sender = PrioritySender(link)
    let limits = ServerLimits(
      maxSessions: options.maxSessions, sessionTimeout_ms: options.sessionTimeout_ms,
      mtu: link.mtu, ringFrames: link.ringFrames)
    var core = ServerCore(
      store: RegionTable(regions, seats: seats, engine: number, logger: logger), limits: limits,
      seed: .random(in: 0 ... .max))
    state.address = link.address.description
    state.mtu = link.mtu
    let (formerSender, formerCounters) = (state.sender, state.counters)
    var lastFrame_ns: UInt64 = 0
    var nextTick_ns: UInt64 = 0
    let busyPoll_ns = options.busyPoll_us * 1000
    var end: End?

    while end == nil {
      let now_ns = monotonic_ns()
      var count = 0
      sender.isBulk = !core.mayOvertake(now_ns: now_ns)
      while count < Self.batch, let frame = link.next() {
        core.receive(
          frame: frame.bytes, from: frame.source, toGroup: frame.toGroup, now_ns: now_ns,
          sink: &sender)
        count += 1
      }
      // Behind the answers, so that what somebody waits for goes first.
      sender.isBulk = true
      let pushDue_ns = core.push(now_ns: now_ns, sink: &sender)
      if count > 0 || pushDue_ns != .max {
        sender.flush()
        core.store.reclaim()
      }
      if count > 0 {
        state.receivedFrames += UInt64(count)
        lastFrame_ns = now_ns
      }
      if now_ns >= nextTick_ns {
        end = tick(&link, &core, &state, now_ns: now_ns)
        state.sender = formerSender + sender.counters
        state.counters = formerCounters + core.counters
        publish(&state)
        nextTick_ns = now_ns + Self.tick_ns
      }
      guard count == 0 else { continue }
      let untilPush_ns = pushDue_ns == .max ? .max : pushDue_ns - min(pushDue_ns, monotonic_ns())
      if now_ns &- lastFrame_ns >= busyPoll_ns, untilPush_ns >= Self.leastSleep_ns {
        state.sleeps += 1
        // Idle, the tick may come later; what a session's end needs is seconds.
        let idle_ns: UInt64 = core.sessionCount > 0 ? 100_000_000 : 500_000_000
        link.wait(timeout_ns: min(idle_ns, untilPush_ns), wake: wakeDescriptor)
        if stopping.load(ordering: .acquiring) { end = .stopped }
      } else {
        // Whoever else wants this core gets it: it may be the very one whose frame we wait for.
        sched_yield()
      }
    }
    core.closeAll()
    sender.flush()
    core.store.reclaim()
    state.sender = formerSender + sender.counters
    state.counters = formerCounters + core.counters
    state.sessions = []
    publish(&state)
    return end!
  }

  /// What has to be done now and then, 20 times a second at most.
  private func tick(
    _ link: inout EthernetLink, _ core: inout ServerCore<RegionTable>, _ state: inout EngineReport,
    now_ns: UInt64
  ) -> End? {
    if stopping.load(ordering: .acquiring) { return .stopped }
    let drops = link.takeDrops()
    state.ringDrops += UInt64(drops)
    core.tick(now_ns: now_ns, ringOverflowed: drops > 0)
    while let region = core.store.withdrawn { core.close(region: region) }
    core.store.reclaim()
    state.sessions = core.sessions(now_ns: now_ns)
    state.transfers = core.transfers()
    core.store.publish(state.transfers)
    if let ended = core.takeEndedTransfer() {
      state.endedTransfers += 1
      logger.note(ended, link: name)
    }
    let isUp = link.isUp
    if let isUp, isUp != state.isUp {
      logger.notice(isUp ? "link is up" : "link is down", metadata: ["link": "\(name)"])
    }
    state.isUp = isUp ?? false
    if isUp == nil { return .gone }
    return link.hasNewMTU ? .changed : nil
  }

  /// Opens the link again, trying once a second; nil when `stop` was called first.
  private func reopen(after end: End, _ state: inout EngineReport) -> EthernetLink? {
    if end == .gone {
      logger.error(
        "link is gone; its sessions have ended, and it is used again when it comes back",
        metadata: ["link": "\(name)"])
    }
    var lastFailure: String?
    while !stopping.load(ordering: .acquiring) {
      do {
        let link = try EthernetLink(name, ringFrames: options.ringFrames, pushes: true)
        logger.notice(
          end == .gone ? "link is back" : "link's MTU has changed; clients attach again",
          metadata: ["link": "\(name)", "mtu": "\(link.mtu)", "address": "\(link.address)"])
        state.isUp = true
        return link
      } catch {
        let failure = "\(error)"
        if failure != lastFailure {
          logger.warning("trying once a second", metadata: ["reason": "\(failure)"])
        }
        lastFailure = failure
      }
      state.isUp = false
      publish(&state)
      var descriptor = pollfd(fd: wakeDescriptor, events: Int16(POLLIN), revents: 0)
      _ = poll(&descriptor, 1, Self.reopen_ms)
    }
    return nil
  }

  private func publish(_ state: inout EngineReport) {
    state.heartbeat += 1
    state.cpu_us = threadCPU_us()
    let published = state
    report.withLock { $0 = published }
  }
}
