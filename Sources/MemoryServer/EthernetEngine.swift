// SPDX-License-Identifier: Apache-2.0
import CMemx
import Glibc
import Links
import Logging
import RMAP

/// An Ethernet interface's thread.
///
/// While frames keep coming it polls the ring; after `busyPoll_us` without one it sleeps in `poll`.
final class EthernetEngine: Engine {
  let control: EngineControl
  private let name: String
  private let setup: EngineSetup
  private var logger: Logger { setup.logger }

  init(link: String, _ setup: EngineSetup) throws {
    name = link
    self.setup = setup
    control = try EngineControl()
  }

  /// A link that goes away later, or whose MTU changes, is opened again as soon as that is possible; its
  /// sessions end, and their clients attach again.
  func run(ready: () -> Void) throws {
    memx_thread_name("memx:\(name.prefix(10))")
    // Pushes are spaced by microseconds.
    memx_timer_slack(1)
    var link = try open()
    var state = EngineReport(link: name)
    ready()
    while true {
      let end = serve(&link, &state)
      guard end != .stopped else { return }
      guard let reopened = reopen(after: end, &state) else { return }
      link = reopened
    }
  }

  private func open() throws -> EthernetLink {
    try EthernetLink(name, ringFrames: setup.ringFrames, pushes: true)
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
      maxSessions: setup.maxSessions, sessionTimeout_ms: setup.sessionTimeout_ms,
      mtu: link.mtu, ringFrames: link.ringFrames)
    var core = ServerCore(
      store: RegionTable(
        setup.regions, seats: setup.seats, engine: setup.number, logger: logger), limits: limits,
      seed: .random(in: 0 ... .max))
    state.address = link.address.description
    state.mtu = link.mtu
    let former = state
    var lastFrame_ns: UInt64 = 0
    var nextTick_ns: UInt64 = 0
    let busyPoll_ns = setup.busyPoll_us * 1000
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
        state.count(sent: sender.counters, done: core.counters, after: former)
        control.publish(&state)
        nextTick_ns = now_ns + Self.tick_ns
      }
      guard count == 0 else { continue }
      let untilPush_ns = pushDue_ns == .max ? .max : pushDue_ns - min(pushDue_ns, monotonic_ns())
      if now_ns &- lastFrame_ns >= busyPoll_ns, untilPush_ns >= Self.leastSleep_ns {
        state.sleeps += 1
        // Idle, the tick may come later; what a session's end needs is seconds.
        let idle_ns: UInt64 = core.sessionCount > 0 ? 100_000_000 : 500_000_000
        let timeout_ns = min(idle_ns, untilPush_ns)
        if link.wait(timeout_ns: timeout_ns, wake: control.wakeDescriptor) {
          control.takeWake()
          nextTick_ns = 0
        }
      } else {
        // Whoever else wants this core gets it: it may be the very one whose frame we wait for.
        sched_yield()
      }
    }
    core.closeAll()
    sender.flush()
    core.store.reclaim()
    state.count(sent: sender.counters, done: core.counters, after: former)
    state.sessions = []
    control.publish(&state)
    return end!
  }

  /// What has to be done now and then, 20 times a second at most.
  private func tick(
    _ link: inout EthernetLink, _ core: inout ServerCore<RegionTable>, _ state: inout EngineReport,
    now_ns: UInt64
  ) -> End? {
    if control.isStopping { return .stopped }
    let drops = link.takeDrops()
    state.ringDrops += UInt64(drops)
    core.tick(now_ns: now_ns, ringOverflowed: drops > 0)
    while let region = core.store.withdrawn { core.close(region: region) }
    core.store.reclaim()
    state.note(&core, now_ns: now_ns, logger: logger)
    let isUp = link.isUp
    state.note(isUp: isUp, logger: logger)
    if isUp == nil { return .gone }
    return link.hasNewMTU ? .changed : nil
  }

  /// Opens the link again; nil when the engine is to stop.
  private func reopen(after end: End, _ state: inout EngineReport) -> EthernetLink? {
    if end == .gone {
      logger.error(
        "link is gone; its sessions have ended, and it is used again when it comes back",
        metadata: ["link": "\(name)"])
    }
    return control.reopen(&state, logger: logger) {
      let link = try open()
      logger.notice(
        end == .gone ? "link is back" : "link's MTU has changed; clients attach again",
        metadata: ["link": "\(name)", "mtu": "\(link.mtu)", "address": "\(link.address)"])
      return link
    }
  }
}
