// SPDX-License-Identifier: Apache-2.0
import CMemx
import Glibc
import Links
import Logging
import RMAP

/// An RDMA device's thread.
///
/// As over Ethernet it polls while frames keep coming, and sleeps after `busyPoll_us` without one. A connection takes the
/// place of a client's Ethernet address; when it ends its session ends.
final class VerbsEngine: Engine {
  /// How often the device's port is looked at: rdma_rxe asks the network card each time, and on Linux 6.1 logs the answer.
  private static var look_ns: UInt64 { 1_000_000_000 }
  /// How often connections are looked after while frames keep coming.
  private static var manage_ns: UInt64 { 1_000_000 }
  /// Frames come over connections that share the receives, so a few hundred hold what all sessions have outstanding.
  private static var mostReceives: Int { 1024 }

  let control: EngineControl
  private let address: VerbsAddress
  private let name: String
  private let setup: EngineSetup
  private var logger: Logger { setup.logger }

  init(link: VerbsAddress, _ setup: EngineSetup) throws {
    address = link
    name = LinkName.rdma(link).description
    self.setup = setup
    control = try EngineControl()
  }

  /// Where clients connect; nil until that is known.
  var clientAddress: String? {
    var known = address
    known.host = control.current.address
    return known.host.isEmpty ? nil : known.description
  }

  private var linkOptions: VerbsLink.Options {
    var link = VerbsLink.Options()
    link.receives = min(setup.ringFrames, Self.mostReceives)
    link.sends = link.receives
    link.connections = setup.maxSessions
    return link
  }

  /// A device that goes away later, or loses its address, is opened again as soon as that is possible; its
  /// sessions end, and their clients connect again.
  func run(ready: () -> Void) throws {
    memx_thread_name("memx:\(address.host.prefix(10))")
    // Pushes are spaced by microseconds.
    memx_timer_slack(1)
    var next: VerbsLink? = try open()
    var state = EngineReport(link: name)
    ready()
    while let link = next.take() {
      serve(link, &state)
      next = reopen(&state)
    }
  }

  /// Opens the device, and registers the regions that clients may reach directly.
  private func open() throws -> VerbsLink {
    var link = try VerbsLink(listening: address, options: linkOptions)
    for region in setup.regions {
      guard case .arena(let pages) = region.pages, let memory = pages.pointee.linearMemory else {
        continue
      }
      try link.expose(memory)
    }
    return link
  }

  /// Answers frames until the device is gone or `stop` is called.
  private func serve(_ link: consuming VerbsLink, _ state: inout EngineReport) {
    let limits = ServerLimits(
      maxSessions: setup.maxSessions, sessionTimeout_ms: setup.sessionTimeout_ms,
      mtu: VerbsLink.frameBytes, ringFrames: linkOptions.receives)
    var core = ServerCore(
      store: RegionTable(
        setup.regions, seats: setup.seats, engine: setup.number, logger: logger,
        peers: link.directory),
      limits: limits, seed: .random(in: 0 ... .max))
    state.address = link.address
    state.mtu = VerbsLink.frameBytes
    let former = state
    let busyPoll_ns = setup.busyPoll_us * 1000
    var idle = IdleConnections(timeout_ns: UInt64(setup.sessionTimeout_ms) * 1_000_000)
    var lastFrame_ns: UInt64 = 0
    var nextTick_ns: UInt64 = 0
    var nextManage_ns: UInt64 = 0
    var nextLook_ns: UInt64 = 0
    var endedSessions: UInt64 = 0
    var isServing = true

    while isServing {
      let now_ns = monotonic_ns()
      link.now_ns = now_ns
      if now_ns >= nextManage_ns {
        link.manage()
        nextManage_ns = now_ns + Self.manage_ns
        // Before newcomers are heard, for whom there is room now.
        endSessions(over: &link, &core)
      }
      var count = 0
      while count < Self.batch, let frame = link.next() {
        core.receive(
          frame: frame.bytes, from: frame.source, toGroup: false, now_ns: now_ns, sink: &link)
        count += 1
        // Before anybody learns that a region is theirs, or free.
        if core.endedSessions != endedSessions {
          endedSessions = core.endedSessions
          link.closeWindows { core.hasSession($0) }
        }
      }
      // Behind the answers, so that what somebody waits for goes first.
      let pushDue_ns = core.push(now_ns: now_ns, sink: &link)
      link.flush()
      endSessions(over: &link, &core)
      if core.endedSessions != endedSessions {
        endedSessions = core.endedSessions
        link.closeWindows { core.hasSession($0) }
      }
      core.store.reclaim()
      if count > 0 {
        state.receivedFrames += UInt64(count)
        lastFrame_ns = now_ns
      }
      if now_ns >= nextTick_ns {
        isServing = tick(&link, &core, &state, &idle, now_ns: now_ns)
        if isServing, now_ns >= nextLook_ns {
          let isUp = link.isUp
          state.note(isUp: isUp, logger: logger)
          isServing = isUp != nil
          nextLook_ns = now_ns + Self.look_ns
        }
        state.count(
          sent: link.counters, refused: link.refusals, done: core.counters, after: former)
        control.publish(&state)
        nextTick_ns = now_ns + Self.tick_ns
      }
      guard count == 0 else { continue }
      let untilPush_ns = pushDue_ns == .max ? .max : pushDue_ns - min(pushDue_ns, monotonic_ns())
      if now_ns &- lastFrame_ns >= busyPoll_ns, untilPush_ns >= Self.leastSleep_ns {
        state.sleeps += 1
        let idle_ns: UInt64 = core.sessionCount > 0 ? 100_000_000 : 500_000_000
        let timeout_ns = min(idle_ns, untilPush_ns)
        if link.wait(timeout_ns: timeout_ns, wake: control.wakeDescriptor) {
          control.takeWake()
          nextTick_ns = 0
        }
        nextManage_ns = 0
      } else {
        link.takeSends()
        sched_yield()
      }
    }
    core.closeAll()
    link.flush()
    core.store.reclaim()
    state.count(
      sent: link.counters, refused: link.refusals, done: core.counters, after: former)
    state.sessions = []
    control.publish(&state)
  }

  /// Ends the sessions over connections that have ended.
  private func endSessions(over link: inout VerbsLink, _ core: inout ServerCore<RegionTable>) {
    while let ended = link.takeEnded() {
      core.disconnected(ended.peer, reason: "\(ended.reason)")
    }
  }

  /// What has to be done now and then, 20 times a second at most. False when serving has to end.
  private func tick(
    _ link: inout VerbsLink, _ core: inout ServerCore<RegionTable>, _ state: inout EngineReport,
    _ idle: inout IdleConnections, now_ns: UInt64
  ) -> Bool {
    if control.isStopping { return false }
    core.tick(now_ns: now_ns, ringOverflowed: false)
    while let region = core.store.withdrawn { core.close(region: region) }
    link.closeWindows { core.hasSession($0) }
    core.store.reclaim()
    state.clientAddresses = link.directory.all
    state.note(&core, now_ns: now_ns, logger: logger)
    for peer in idle.overdue(link.peers, with: state.sessions, now_ns: now_ns) {
      link.disconnect(peer)
    }
    return true
  }

  /// Opens the device again; nil when the engine is to stop.
  private func reopen(_ state: inout EngineReport) -> VerbsLink? {
    guard !control.isStopping else { return nil }
    logger.error(
      "link is gone; its sessions have ended, and it is used again when it comes back",
      metadata: ["link": "\(name)"])
    return control.reopen(&state, logger: logger) {
      let link = try open()
      logger.notice("link is back", metadata: ["link": "\(name)", "device": "\(link.device)"])
      return link
    }
  }
}
