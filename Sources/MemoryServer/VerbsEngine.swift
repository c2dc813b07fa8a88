// SPDX-License-Identifier: Apache-2.0
import CMemx
import Glibc
import Links
import Logging
import RMAP
import Synchronization

/// An RDMA device's thread.
///
/// As over Ethernet it polls while frames keep coming, and sleeps after `busyPoll_us` without one. A connection takes the
/// place of a client's Ethernet address; when it ends its session ends.
final class VerbsEngine: Engine {
  private static var batch: Int { 16 }
  private static var tick_ns: UInt64 { 50_000_000 }
  /// How often the device's port is looked at: rdma_rxe asks the network card each time, and on Linux 6.1 logs the answer.
  private static var look_ns: UInt64 { 1_000_000_000 }
  /// How often connections are looked after while frames keep coming.
  private static var manage_ns: UInt64 { 1_000_000 }
  /// A shorter wait for the next push is not worth a sleep.
  private static var leastSleep_ns: UInt64 { 20_000 }
  private static var reopen_ms: Int32 { 900 }
  /// Frames come over connections that share the receives, so a few hundred hold what all sessions have outstanding.
  private static var mostReceives: Int { 1024 }

  private let address: VerbsAddress
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
    link: VerbsAddress, number: Int, regions: [Region], seats: RegionSeats, options: EngineOptions,
    logger: Logger
  ) throws {
    address = link
    name = LinkName.rdma(link).description
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

  /// Where clients connect; nil until that is known.
  var clientAddress: String? {
    var known = address
    known.host = current.address
    return known.host.isEmpty ? nil : known.description
  }

  func stop() {
    stopping.store(true, ordering: .releasing)
    memx_wake(wakeDescriptor)
  }

  func wake() { memx_wake(wakeDescriptor) }

  private var linkOptions: VerbsLink.Options {
    var link = VerbsLink.Options()
    link.receives = min(options.ringFrames, Self.mostReceives)
    link.sends = link.receives
    link.connections = options.maxSessions
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
      if !stopping.load(ordering: .acquiring) { next = reopen(&state) }
    }
  }

  /// Opens the device, and registers the regions that clients may reach directly.
  private func open() throws -> VerbsLink {
    var link = try VerbsLink(listening: address, options: linkOptions)
    for region in regions {
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
      maxSessions: options.maxSessions, sessionTimeout_ms: options.sessionTimeout_ms,
      mtu: VerbsLink.frameBytes, ringFrames: linkOptions.receives)
    var core = ServerCore(
      store: RegionTable(
        regions, seats: seats, engine: number, logger: logger, peers: link.directory),
      limits: limits, seed: .random(in: 0 ... .max))
    state.address = link.address
    state.mtu = VerbsLink.frameBytes
    let former = state
    let busyPoll_ns = options.busyPoll_us * 1000
    var idle = IdleConnections(timeout_ns: UInt64(options.sessionTimeout_ms) * 1_000_000)
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
          isServing = noteState(of: link, &state)
          nextLook_ns = now_ns + Self.look_ns
        }
        state.count(link, core, after: former)
        publish(&state)
        nextTick_ns = now_ns + Self.tick_ns
      }
      guard count == 0 else { continue }
      let untilPush_ns = pushDue_ns == .max ? .max : pushDue_ns - min(pushDue_ns, monotonic_ns())
      if now_ns &- lastFrame_ns >= busyPoll_ns, untilPush_ns >= Self.leastSleep_ns {
        state.sleeps += 1
        let idle_ns: UInt64 = core.sessionCount > 0 ? 100_000_000 : 500_000_000
        link.wait(timeout_ns: min(idle_ns, untilPush_ns), wake: wakeDescriptor)
        nextManage_ns = 0
        if stopping.load(ordering: .acquiring) { isServing = false }
      } else {
        link.takeSends()
        sched_yield()
      }
    }
    core.closeAll()
    link.flush()
    core.store.reclaim()
    state.count(link, core, after: former)
    state.sessions = []
    publish(&state)
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
    if stopping.load(ordering: .acquiring) { return false }
    core.tick(now_ns: now_ns, ringOverflowed: false)
    while let region = core.store.withdrawn { core.close(region: region) }
    link.closeWindows { core.hasSession($0) }
    core.store.reclaim()
    state.sessions = core.sessions(now_ns: now_ns)
    state.clientAddresses = link.directory.all
    state.transfers = core.transfers()
    core.store.publish(state.transfers)
    if let ended = core.takeEndedTransfer() {
      state.endedTransfers += 1
      logger.note(ended, link: name)
    }
    for peer in idle.overdue(link.peers, with: state.sessions, now_ns: now_ns) {
      link.disconnect(peer)
    }
    return true
  }

  /// Notes whether the device's port is up. False when the device is gone.
  private func noteState(of link: borrowing VerbsLink, _ state: inout EngineReport) -> Bool {
    let isUp = link.isUp
    if let isUp, isUp != state.isUp {
      logger.notice(isUp ? "link is up" : "link is down", metadata: ["link": "\(name)"])
    }
    state.isUp = isUp ?? false
    return isUp != nil
  }

  /// Opens the device again, trying once a second; nil when `stop` was called first.
  private func reopen(_ state: inout EngineReport) -> VerbsLink? {
    logger.error(
      "link is gone; its sessions have ended, and it is used again when it comes back",
      metadata: ["link": "\(name)"])
    var lastFailure: String?
    while !stopping.load(ordering: .acquiring) {
      do {
        let link = try open()
        logger.notice(
          "link is back", metadata: ["link": "\(name)", "device": "\(link.device)"])
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

extension EngineReport {
  /// Takes what a link and its sessions have counted, and what those before them had.
  fileprivate mutating func count(
    _ link: borrowing VerbsLink, _ core: borrowing ServerCore<RegionTable>,
    after former: EngineReport
  ) {
    sender = former.sender + link.counters
    refusals = former.refusals + link.refusals
    counters = former.counters + core.counters
  }
}
