// SPDX-License-Identifier: Apache-2.0
import CMemx
import Glibc
import Links
import RMAP
import Synchronization

/// One post-copy's thread: joins link, session, faults and memory.
struct Service: ~Copyable {
  /// What the server has been told in this session.
  private enum Told {
    case nothing
    case telling
    case beginning
    case everything
    case ending
    case ended
  }

  private static let publish_ns: UInt64 = 20_000_000
  /// Frames between two looks at the programs' faults.
  private static let batch = 32

  private let configuration: RemoteMemoryConfiguration
  private var connection: Connection
  private var arrivals: Arrivals
  private let shared: ServiceState
  /// The link, what wakes the thread, and the userfaultfds.
  private let descriptors: UnsafeMutablePointer<pollfd>
  private let descriptorCount: Int
  private let sides: ServiceBuffers

  private var told = Told.nothing
  /// In this session the server has answered something of the post-copy, and so notes what is fetched.
  private var isNoted = false
  private var toldSession: UInt64 = 0
  private var nextTell = 0
  private var outstandingTells = 0
  /// Tells since the last time that none was outstanding: each has room of its own.
  private var tellsInRow = 0
  /// Pieces of the bitmap of what is here that this session is told.
  private var pieces = 0
  private var start_ns: UInt64 = 0
  private var nextPublish_ns: UInt64 = 0
  private var lastLive_ns: UInt64 = 0

  init(
    _ configuration: RemoteMemoryConfiguration, connection: consuming Connection,
    placer: consuming Placer, shared: ServiceState
  ) {
    self.configuration = configuration
    sides = ServiceBuffers(configuration)
    let count = placer.userfaultfds.count
    descriptorCount = count + 2
    descriptors = .allocate(capacity: descriptorCount)
    descriptors[0] = pollfd(fd: connection.link.fileDescriptor, events: Int16(POLLIN), revents: 0)
    descriptors[1] = pollfd(fd: shared.wakeDescriptor, events: Int16(POLLIN), revents: 0)
    for index in 0..<count {
      descriptors[index + 2] = pollfd(
        fd: placer.userfaultfds[index].fileDescriptor, events: Int16(POLLIN), revents: 0)
    }
    self.connection = connection
    arrivals = Arrivals(placer)
    self.shared = shared
  }

  deinit { descriptors.deallocate() }

  // MARK: The loop

  /// Moves pages until all have come, or `stop` was asked for, or memory cannot be served any more.
  mutating func run() {
    memx_thread_name("memx-postcopy")
    memx_timer_slack(1)
    start_ns = monotonic_ns()
    lastLive_ns = start_ns
    let busyPoll_ns = configuration.busyPoll_us * 1000
    var lastEvent_ns = start_ns
    while true {
      let now_ns = monotonic_ns()
      arrivals.now_ns = now_ns
      var isBusy = takeFaults()
      isBusy = takeFrames(now_ns: now_ns) || isBusy
      tell(now_ns: now_ns)
      ask(now_ns: now_ns)
      connection.session.noteUnusedPushes(UInt32(truncatingIfNeeded: arrivals.report.alreadyThere))
      let due_ns = connection.session.poll(
        now_ns: now_ns, sink: &connection.sender, completions: &arrivals)
      connection.sender.flush()
      checkServer(now_ns: now_ns)
      if now_ns >= nextPublish_ns { publish(.moving, now_ns: now_ns) }
      if hasEnded { break }
      if isBusy { lastEvent_ns = now_ns }
      wait(isBusy ? 0 : now_ns &- lastEvent_ns < busyPoll_ns ? 0 : until(due_ns, now_ns: now_ns))
    }
    end()
  }

  /// When the thread has to look again though nothing happens.
  private func until(_ due_ns: UInt64, now_ns: UInt64) -> UInt64 {
    var due_ns = min(due_ns, now_ns + 100_000_000)
    due_ns = min(due_ns, arrivals.faults.due_ns(now_ns: now_ns))
    return due_ns > now_ns ? due_ns - now_ns : 0
  }

  private mutating func wait(_ timeout_ns: UInt64) {
    if timeout_ns == 0, !connection.link.isReady {
      // Whoever else wants this core gets it: it may be the program whose page has just come.
      sched_yield()
    }
    _ = memx_poll(descriptors, nfds_t(descriptorCount), connection.link.isReady ? 0 : timeout_ns)
    connection.link.takeError(descriptors[0].revents)
  }

  private mutating func takeFaults() -> Bool {
    var any = false
    for index in 2..<descriptorCount where descriptors[index].revents != 0 {
      descriptors[index].revents = 0
      arrivals.takeEvents(of: index - 2)
      any = true
    }
    return any
  }

  private mutating func takeFrames(now_ns: UInt64) -> Bool {
    var count = 0
    while count < Self.batch, let frame = connection.link.next() {
      connection.session.receive(
        frame: frame.bytes, from: frame.source, now_ns: now_ns, completions: &arrivals)
      count += 1
    }
    guard count > 0 else { return false }
    do throws(RemoteMemoryError) { _ = try arrivals.placer.flush() } catch {
      arrivals.failure = error
    }
    return true
  }

  /// Gives up when the pages are gone, or their server has been silent for too long.
  private mutating func checkServer(now_ns: UInt64) {
    if connection.session.state == .live {
      lastLive_ns = now_ns
      if connection.session.grant!.lost {
        arrivals.failure = RemoteMemoryError(
          "the server has lost the pages that had not been moved: it was restarted, and its memory not kept"
        )
      }
    } else if now_ns &- lastLive_ns > UInt64(configuration.giveUp_ms) * 1_000_000 {
      arrivals.failure = RemoteMemoryError(
        "no server has answered on \(configuration.link) for \(configuration.giveUp_ms) ms")
    }
  }

  private var hasEnded: Bool {
    told == .ended || arrivals.failure != nil || connection.session.state == .detached
      || shared.stopping.load(ordering: .acquiring)
  }

  // MARK: Asking for pages

  /// Asks for what programs wait for, except for what the server has said will come.
  ///
  /// Not before the server notes what is fetched: it would take that for missing, and if its strategy pushes nothing, for
  /// ever.
  private mutating func ask(now_ns: UInt64) {
    guard isNoted else { return }
    let asked = arrivals.faults.ask(
      &connection.session, states: &arrivals.placer.states, now_ns: now_ns)
    arrivals.reads += asked
    arrivals.report.networkFaults += UInt64(asked)
  }

  // MARK: Telling the server of the post-copy

  /// In each session: what is here already, the LRU order, that it begins; and when all has come, that it ends.
  ///
  /// What was asked for in the last session is asked for again in this one by itself. Only when it is here can be told what is.
  private mutating func tell(now_ns: UInt64) {
    guard connection.session.state == .live else { return }
    if connection.session.counters.attaches != toldSession {
      toldSession = connection.session.counters.attaches
      (told, nextTell, outstandingTells, tellsInRow) = (.nothing, 0, 0, 0)
      isNoted = false
      arrivals.told.removeAll(keepingCapacity: true)
      arrivals.placer.states.forgetUnderWay()
      arrivals.pushesHaveEnded = false
    }
    takeAnswers()
    switch told {
    case .nothing:
      guard arrivals.reads == 0 else { return }
      told = .telling
      // None is needed when nothing is here.
      let present = arrivals.placer.states.count(.present)
      pieces = present == 0 ? 0 : Int(arrivals.placer.states.pieces)
    case .telling:
      if outstandingTells == 0 { tellsInRow = 0 }
      while nextTell < pieces + sides.hintCount, connection.session.hasRoom,
        tellsInRow < configuration.queueDepth
      {
        submitTell(nextTell, now_ns: now_ns)
        nextTell += 1
        tellsInRow += 1
      }
      if nextTell == pieces + sides.hintCount, outstandingTells == 0 {
        told = .beginning
        submit(.begin, buffer: sides.begin, length: sides.beginBytes, now_ns: now_ns)
      }
    case .everything:
      if arrivals.isComplete {
        told = .ending
        submit(.end, buffer: sides.end, length: sides.endBytes, now_ns: now_ns)
      }
    case .beginning, .ending, .ended: break
    }
  }

  private mutating func submitTell(_ index: Int, now_ns: UInt64) {
    if index < pieces {
      let buffer = sides.piece(tellsInRow)
      arrivals.placer.states.copyPresent(piece: UInt64(index), to: buffer)
      submit(
        .have, slot: UInt64(index) * SlotStates.slotsPerPiece, buffer: buffer,
        length: SlotStates.pieceBytes, now_ns: now_ns)
    } else {
      let hint = index - pieces
      submit(
        .hint, count: UInt32(hint * Wire.maxHintExtents), buffer: sides.hint(hint),
        length: sides.hintBytes(hint), now_ns: now_ns)
    }
  }

  private mutating func submit(
    _ operation: ClientSession.Operation, slot: UInt64 = 0, count: UInt32 = 0,
    buffer: UnsafeMutableRawPointer, length: Int, now_ns: UInt64
  ) {
    outstandingTells += 1
    _ = connection.session.submit(
      operation, slot: slot, count: count, buffer: buffer, length: length,
      request: Arrivals.tellBit | UInt64(operation.rawValue), now_ns: now_ns)
  }

  private mutating func takeAnswers() {
    for answer in arrivals.told {
      outstandingTells -= 1
      switch answer.outcome {
      case .done:
        isNoted = true
        if answer.request & 0xFF == UInt64(ClientSession.Operation.begin.rawValue) {
          told = .everything
          arrivals.report.pages = connection.session.begun ?? 0
        } else if answer.request & 0xFF == UInt64(ClientSession.Operation.end.rawValue) {
          told = .ended
        }
      case .refused(.badSession), .timedOut:
        break  // The next session is told everything again.
      case .refused(let status):
        arrivals.failure = RemoteMemoryError(
          status == .noStrategy
            ? "the server does not know the strategy '\(configuration.strategy)'"
            : "the server refuses the post-copy: \(status)", code: status.code)
      }
    }
    arrivals.told.removeAll(keepingCapacity: true)
  }

  // MARK: The end

  private mutating func publish(_ phase: RemoteMemoryReport.Phase, now_ns: UInt64) {
    nextPublish_ns = now_ns + Self.publish_ns
    var report = arrivals.report
    report.phase =
      phase == .moving && connection.session.state == .attaching ? .attaching : phase
    report.lateFaults = arrivals.placer.counters.lateFaults
    report.demand_ns_p50 = arrivals.demand_ns(percent: 50)
    report.demand_ns_p99 = arrivals.demand_ns(percent: 99)
    report.sessions = connection.session.counters.attaches
    report.retransmissions = connection.session.counters.retransmissions
    report.elapsed_ns = now_ns - start_ns
    report.srtt_ns = connection.session.srtt_ns
    report.cpu_us = threadCPU_us()
    report.failure = arrivals.failure?.description
    report.failureCode = arrivals.failure?.code ?? 0
    shared.publish(report)
  }

  /// Lets the programs go on without a server. When all has come, what is left was never stored: zeros.
  private mutating func end() {
    connection.session.detach(sink: &connection.sender)
    connection.sender.flush()
    let isComplete = told == .ended
    if !isComplete, arrivals.failure == nil {
      arrivals.failure = RemoteMemoryError("stopped before every page had come", code: ECANCELED)
    }
    if isComplete { arrivals.placer.release() } else { arrivals.placer.loseMissing() }
    publish(isComplete ? .complete : .ended, now_ns: monotonic_ns())
  }
}
