// SPDX-License-Identifier: Apache-2.0
import CRMAP

// Post-copy: PROTOCOL.md section 9, after the paper's sections 3.2 and 4.
extension ServerCore where Store: ~Copyable {
  // MARK: Requests

  /// HINT: a part of the client's LRU order.
  mutating func hint(
    _ message: Message, session index: Int, sink: inout some FrameSink & ~Copyable
  ) {
    let header = message.header
    let count = message.payload.count / Wire.extentBytes
    guard message.payload.count % Wire.extentBytes == 0,
      (1...Wire.maxHintExtents).contains(count),
      header.slotCount <= Wire.maxOrderExtents - count
    else { return refuse(.badMessage, header, session: index, sink: &sink) }
    guard let at = admitOnce(header, session: index, sink: &sink) else { return }
    guard pushes[index] == nil else {
      return finish(.badMessage, at, header, session: index, sink: &sink)
    }
    store.hint(table[index].region, place: header.slotCount, extents: message.payload)
    finish(.ok, at, header, session: index, sink: &sink)
  }

  /// HAVE: slots that the client does not need.
  mutating func have(
    _ message: Message, session index: Int, sink: inout some FrameSink & ~Copyable
  ) {
    let header = message.header
    guard (1...Wire.maxHaveBytes).contains(message.payload.count) else {
      return refuse(.badMessage, header, session: index, sink: &sink)
    }
    guard let at = admitOnce(header, session: index, sink: &sink) else { return }
    guard header.slotIndex < table[index].slots, pushes[index] == nil else {
      counters.outOfRange += 1
      return finish(.outOfRange, at, header, session: index, sink: &sink)
    }
    store.have(table[index].region, from: header.slotIndex, bitmap: message.payload)
    finish(.ok, at, header, session: index, sink: &sink)
  }

  /// BEGIN: from now on pages are pushed.
  mutating func begin(
    _ message: Message, session index: Int, sink: inout some FrameSink & ~Copyable
  ) {
    let header = message.header
    guard let request = BeginRequest(payload: message.payload) else {
      return refuse(.badMessage, header, session: index, sink: &sink)
    }
    guard let (at, isAgain) = admit(header, session: index, sink: &sink) else { return }
    guard !isAgain else {
      guard tags[at].status == .ok, let push = pushes[index] else {
        return reply(tags[at].status, to: header, session: index, sink: &sink)
      }
      return replyBegun(push.pointee.report.pages, header, session: index, sink: &sink)
    }
    guard pushes[index] == nil else {
      return finish(.badMessage, at, header, session: index, sink: &sink)
    }
    switch store.begin(table[index].region, request) {
    case .failure(let refusal):
      finish(refusal.status, at, header, session: index, sink: &sink)
    case .success(let transfer):
      let limits = [request.rate_bytes_s, transfer.limit_bytes_s].filter { $0 > 0 }
      let push = UnsafeMutablePointer<PushSender>.allocate(capacity: 1)
      push.initialize(
        to: PushSender(
          request, session: table[index].id, region: table[index].region,
          limit_bytes_s: limits.min() ?? 0))
      push.pointee.report.strategy = transfer.strategy
      push.pointee.report.pages = transfer.pages
      pushes[index] = push
      sink.writePushes(to: request.buffers, of: table[index].peer)
      // What the link was like when it last pushed may be long ago.
      if pushing == 0 { linkPace = PushPace() }
      pushing += 1
      counters.postcopies += 1
      pushDue.set(index, due_ns: 0)
      tags[at].done = true
      tags[at].status = .ok
      replyBegun(transfer.pages, header, session: index, sink: &sink)
    }
  }

  private func replyBegun(
    _ pages: UInt64, _ header: Header, session index: Int, sink: inout some FrameSink & ~Copyable
  ) {
    var raw = rmap_begun(pages: pages.littleEndian, reserved: 0)
    withUnsafeBytes(of: &raw) { bytes in
      let answer = replyHeader(.ok, to: header, session: index, length: bytes.count)
        .sealed(payloadHash: payloadHash(bytes))
      sink.appendPadded(answer, copying: bytes, to: table[index].peer, mtu: Wire.minMTU)
    }
  }

  /// END: nothing more is pushed.
  mutating func end(
    _ message: Message, session index: Int, sink: inout some FrameSink & ~Copyable
  ) {
    let header = message.header
    guard let request = EndRequest(payload: message.payload) else {
      return refuse(.badMessage, header, session: index, sink: &sink)
    }
    guard let at = admitOnce(header, session: index, sink: &sink) else { return }
    if let push = pushes[index] {
      push.pointee.report.unused = request.unused
      push.pointee.report.hasEnded = true
    }
    endTransfer(session: index)
    finish(.ok, at, header, session: index, sink: &sink)
  }

  /// PUSHED: what has arrived.
  mutating func pushed(_ message: Message, session index: Int, now_ns: UInt64) {
    let header = message.header
    guard message.payload.count == 0 else {
      counters.badMessages += 1
      return
    }
    // One on its way when the post-copy ended.
    guard let push = pushes[index] else { return }
    let (pushedBefore, unwantedBefore) = (
      push.pointee.report.pushed, push.pointee.report.alreadyThere
    )
    let arrived = push.pointee.acknowledged(
      first: header.generationNumber, behind: header.slotIndex, credits: Int(header.creditCount),
      unused: UInt32(truncatingIfNeeded: header.slotCount), now_ns: now_ns)
    guard let arrived else {
      counters.badMessages += 1
      return
    }
    if arrived.count > 0 {
      linkInFlight -= arrived.count
      linkPace.arrived(
        count: arrived.count, newest: arrived.newest, inFlight: linkInFlight, now_ns: now_ns)
    }
    counters.pagesPushed += push.pointee.report.pushed - pushedBefore
    counters.pushesUnwanted += push.pointee.report.alreadyThere - unwantedBefore
    pushDue.set(index, due_ns: 0)
  }

  /// A READ during post-copy: moves the strategy's pivots. False when a push of the page is on its way, so that
  /// it is not sent a second time unless the client asks again.
  mutating func fetch(_ header: Header, session index: Int) -> Bool {
    let (region, slot) = (table[index].region, header.slotIndex)
    let context = UInt32(header.slotCount)
    guard let push = pushes[index] else {
      _ = store.fault(region, slot: slot, context: context, wasPlanned: false)
      return true
    }
    if push.pointee.covers(slot), header.attempt == 0 {
      // The strategy learns how far the program has come.
      if let promise = store.fault(region, slot: slot, context: context, wasPlanned: false) {
        push.pointee.promises.append(promise)
      }
      push.pointee.report.overlapped += 1
      counters.fetchesOverlapped += 1
      return false
    }
    if header.attempt == 0 {
      push.pointee.report.fetched += 1
      counters.pagesFetched += 1
    }
    push.pointee.pace.fetched()
    linkPace.fetched()
    let wasPlanned = push.pointee.withdraw(slot)
    let promise = store.fault(region, slot: slot, context: context, wasPlanned: wasPlanned)
    pushDue.set(index, due_ns: 0)
    // What the fault makes likely is announced with the page, before it is asked for. A program alone had better ask than
    // wait until all that is planned before has come; where many ask, the link has no time for it.
    let planned = push.pointee.planCount
    let isAlone = mayOvertake(now_ns: table[index].lastHeard_ns)
    extendPlan(
      push, session: index, to: (isAlone ? min(planned, push.pointee.planLength) : planned) + 2)
    if let told = promise ?? push.pointee.announce(from: planned) {
      push.pointee.promises.prepend(told)
    }
    return true
  }

  /// What a READ's reply says of pages to come.
  func announcement(session index: Int) -> Announcement {
    pushes[index]?.pointee.announce() ?? .nothing
  }

  // MARK: Pushing

  /// Pushes what is due.
  ///
  /// Call it after `receive`, so that answers to what somebody waits for go first.
  ///
  /// - Parameters:
  ///   - now_ns: of the same clock as in `receive`.
  ///   - sink: as in `receive`.
  /// - Returns: when to call again at the latest.
  public mutating func push(now_ns: UInt64, sink: inout some FrameSink & ~Copyable) -> UInt64 {
    while pushDue.first_ns <= now_ns, let index = pushDue.first {
      look(at: index, now_ns: now_ns, sink: &sink)
    }
    // Sessions take turns, a frame each; as many as the link takes now.
    var count = 0
    while count < Self.batch, ready.count > 0, mayLinkPush(now_ns: now_ns) {
      let index = ready.removeFirst()
      if let push = pushes[index] {
        count += pushFrame(push, session: index, now_ns: now_ns, sink: &sink)
      }
      look(at: index, now_ns: now_ns, sink: &sink)
    }
    guard ready.count > 0, linkInFlight < linkPace.window else { return pushDue.first_ns }
    return min(pushDue.first_ns, linkPace.nextSend_ns)
  }

  /// Whether answers may overtake pushes in the link's queue, where that knows priorities.
  ///
  /// Only while one program asks: it cannot fill the link, as it waits for each page. Many can, and pushes would never come,
  /// though somebody may wait for one that was announced.
  ///
  /// - Parameter now_ns: as in `push`.
  public func mayOvertake(now_ns: UInt64) -> Bool { now_ns &- linkCrowded_ns > Self.crowded_ns }

  /// Others ask, too, when their last page was asked for less than so long ago.
  private static var crowded_ns: UInt64 { 10_000_000 }

  /// Notes that a page is asked for.
  ///
  /// - Parameters:
  ///   - context: the thread of control that waits, 0 when that is not known.
  mutating func noteAsked(session index: Int, context: UInt32, now_ns: UInt64) {
    let asker = UInt64(index) << 32 | UInt64(context)
    if context == 0 || asker != linkAsker && now_ns &- linkAsked_ns < Self.crowded_ns {
      linkCrowded_ns = now_ns
    }
    (linkAsker, linkAsked_ns) = (asker, now_ns)
  }

  /// The most pages between two looks at the receive ring.
  private static var batch: Int { 16 }

  private func mayLinkPush(now_ns: UInt64) -> Bool {
    linkInFlight < linkPace.window && now_ns >= linkPace.nextSend_ns
  }

  /// Sends again what a session has lost, and sees when it can push: at once, so that it waits for its turn, or
  /// later.
  private mutating func look(
    at index: Int, now_ns: UInt64, sink: inout some FrameSink & ~Copyable
  ) {
    guard let push = pushes[index] else { return pushDue.set(index, due_ns: .max) }
    while let lost = push.pointee.nextLost(now_ns: now_ns) {
      sendPush(
        push, session: index, number: lost.number, slot: lost.entry.slot,
        attempt: lost.entry.attempt, isEnd: lost.entry.isEnd, sink: &sink)
    }
    if !push.pointee.hasEnded, push.pointee.maySend(now_ns: now_ns) {
      extendPlan(push, session: index, to: push.pointee.planLength)
      push.pointee.isStarved = push.pointee.planCount == 0
      if !push.pointee.isStarved {
        ready.append(index)
        return pushDue.set(index, due_ns: push.pointee.timeout_ns)
      }
      if push.pointee.isIdle, store.remaining(table[index].region) == 0 {
        let number = noteSent(push, slot: 0, isEnd: true, now_ns: now_ns)
        sendPush(
          push, session: index, number: number, slot: 0, attempt: 0, isEnd: true, sink: &sink)
      }
    }
    pushDue.set(index, due_ns: push.pointee.due_ns)
  }

  /// Pushes the pages of a frame, if the session still may; returns how many.
  private mutating func pushFrame(
    _ push: UnsafeMutablePointer<PushSender>, session index: Int, now_ns: UInt64,
    sink: inout some FrameSink & ~Copyable
  ) -> Int {
    guard push.pointee.maySend(now_ns: now_ns) else { return 0 }
    let most = push.pointee.pace.pagesPerFrame
    var count = 0
    // Its plan may have been fetched meanwhile.
    while count < most, push.pointee.planCount > 0, push.pointee.hasRoom {
      extendPlan(push, session: index, to: push.pointee.planLength)
      let slot = push.pointee.dequeue()
      let number = noteSent(push, slot: slot, isEnd: false, now_ns: now_ns)
      sendPush(
        push, session: index, number: number, slot: slot, attempt: 0, isEnd: false, sink: &sink)
      count += 1
    }
    return count
  }

  private mutating func noteSent(
    _ push: UnsafeMutablePointer<PushSender>, slot: UInt64, isEnd: Bool, now_ns: UInt64
  ) -> UInt32 {
    let mark = linkPace.sent(now_ns: now_ns, inFlight: linkInFlight)
    linkInFlight += 1
    return push.pointee.send(slot, isEnd: isEnd, linkMark: mark, now_ns: now_ns)
  }

  private mutating func extendPlan(
    _ push: UnsafeMutablePointer<PushSender>, session index: Int, to length: Int
  ) {
    while push.pointee.planCount < length, push.pointee.planHasRoom,
      let next = store.nextPush(table[index].region)
    {
      push.pointee.enqueue(next.slot)
      if let promise = next.promise { push.pointee.promises.append(promise) }
    }
  }

  private mutating func sendPush(
    _ push: UnsafeMutablePointer<PushSender>, session index: Int, number: UInt32, slot: UInt64,
    attempt: UInt8, isEnd: Bool, sink: inout some FrameSink & ~Copyable
  ) {
    let (peer, mtu) = (table[index].peer, table[index].mtu)
    let announced = push.pointee.announce()
    var header = Header(
      opcode: Opcode.push.rawValue, attempt: attempt, session: table[index].id,
      generation: number, slot: slot, ahead: announced.ahead,
      count: UInt32(truncatingIfNeeded: announced.first))
    if isEnd {
      sink.append(header.sealed(), to: peer, mtu: mtu)
      return
    }
    guard case .page(let page, let hashes) = store.load(table[index].region, slot: slot) else {
      // Discarded since it was planned or first sent: zeros by now, which the client knows.
      header.fragments = Wire.allFragments
      sink.append(header.sealed(), to: peer, mtu: mtu)
      return
    }
    let fillsFrame = push.pointee.pace.pagesPerFrame == 1
    sendPage(
      page, hashes, header, to: peer,
      mtu: fillsFrame && mtu >= Wire.wholePageMTU ? Wire.wholePageMTU : mtu,
      wanted: Wire.allFragments, sink: &sink)
  }

  // MARK: State

  mutating func endTransfer(session index: Int) {
    store.endTransfer(table[index].region, pushes[index]?.pointee.report)
    guard let push = pushes[index] else { return }
    ended = push.pointee.report
    pushes[index] = nil
    pushing -= 1
    pushDue.set(index, due_ns: .max)
    ready.remove(index)
    linkInFlight -= push.pointee.inFlight
    push.deinitialize(count: 1)
    push.deallocate()
  }

  /// The post-copies under way.
  public func transfers() -> [TransferReport] {
    guard pushing > 0 else { return [] }
    return (0..<limits.maxSessions).compactMap { index in
      guard let push = pushes[index] else { return nil }
      var report = push.pointee.report
      report.remaining = UInt64(store.remaining(table[index].region) + push.pointee.planCount)
      report.bandwidth_bytes_s = push.pointee.pace.bandwidth_bytes_s
      return report
    }
  }

  /// Takes the figures of the post-copy that ended last, so that they can be logged.
  public mutating func takeEndedTransfer() -> TransferReport? {
    defer { ended = nil }
    return ended
  }
}
