// SPDX-License-Identifier: Apache-2.0

/// Prepaging that follows the programs' streams of accesses.
///
/// All that the server sees is where programs wait: for pages that are still to be sent, and, with
/// these, for pages just given out. Each wait continues the nearest of its thread's streams, or
/// begins one. A stream without a direction gets a small bubble; the next wait tells which way it
/// goes, or its stride. From then on each wait makes its window, how far ahead of the program it is
/// pushed, four times as long, and eight times once it confirms a direction, up to as many times as far
/// as the stream has come: a program that waits was served too slowly, and what has run long will run on.
///
/// Once a stream's direction is certain its window is promised: told to the client, whose program then
/// waits for these pages without asking. Where many programs share a slow link their requests would else
/// fill it, each for one page, and no push would ever be ahead of a program.
///
/// What is pushed first follows from when a program will wait again. A stream whose program waits
/// with nothing of what comes next on its way gets a page before all else, in the order of the
/// waits, since they are served in that order; but not once its thread has waited elsewhere, as one
/// that asks faster than pages can be pushed does. Then streams that waited of late get a page each
/// in turn, as far as their windows reach, so that those of one thread, such as the two pointers of a
/// quicksort, stay abreast, and with them those that have promised what they have not given out; and
/// then the windows of others. When there is nothing of these, the background: bubbles around the
/// last faults, and in turn with them the LRU order, or, where there is none, the pages in ascending
/// order.
struct Streams: ~Copyable {
  /// Streams that are followed at a time; a new one replaces the one that waited longest ago.
  static let limit = 1024
  /// Pages either side of a first fault that are pushed.
  private static let firstWindow = 4
  /// How many times as long a wait makes its stream's window, and how many times as far as the
  /// stream has come it may reach: when the wait shows a direction, and when it confirms one.
  private static let firstGrowth = 4
  private static let growth = 8
  /// How far past its edge a fault still belongs to a stream.
  private static let reach = 16
  /// Waits of its thread elsewhere after which a stream comes behind the others.
  private static let staleFaults = 8
  /// Pages of the LRU order that are about to be pushed: a program that waits for one follows the order.
  private static let dueInOrder = 32
  /// Pages that are promised at a time: as many as one announcement of RMAP's carries (`Wire.maxAnnounced`), for the
  /// client would not hear of more.
  private static let promiseMax = 127
  /// Pages that the streams of a thread that waits alone promise together, about: one that comes to a page late in a long
  /// promise would wait for the turns of all the others, and it loses little by asking.
  private static let promiseMaxAlone = 48
  /// Waits of one thread in a row after which it waits alone.
  private static let aloneFaults = 64
  /// Pages that a strided stream may pass over in a turn to find a pending one.
  private static let strideTries = 16
  /// Turns in which pages were but passed over after which one of the background's goes, so that the time of a push is bounded.
  private static let looksMax = 4

  private struct Stream {
    /// Where it began.
    var start = 0
    /// Where the program last waited.
    var seen = 0
    /// Slots from one page to the next; 0 while nothing is known.
    var stride = 0
    /// The next slot to look at, in the direction of the stride, or forward.
    var ahead = 0
    /// The next slot to look at going backward, while nothing is known.
    var behind = 0
    var goesBehind = false
    /// How far from `seen` pages may be pushed, in pages.
    var window = 0
    /// The slot after the last one promised, in the direction of the stride; of a stream that goes a slot at a time.
    var promised = 0
    var context: UInt32 = 0
    /// The count of faults when it last waited, and of those the waits of its thread.
    var stamp = 0
    var threadStamp = 0
    /// The queue that it is in, and its neighbours there; -1 where none.
    var queue = -1
    var previous = -1
    var next = -1
  }

  /// The last waits of a thread, latest first; `Int.min` where there were fewer.
  private struct History {
    var context: UInt32 = 0
    var count = 0
    var slots = (Int.min, Int.min, Int.min, Int.min)
    /// All there were.
    var waits = 0
  }

  private let inOrder: Bool
  private let capacity: Int
  private let streams: UnsafeMutablePointer<Stream>
  private let histories: UnsafeMutablePointer<History>
  private var count = 0
  private var faults = 0
  /// The thread that waited last, and the count of faults when another one last did.
  private var latest: UInt32 = 0
  private var othersStamp = -Streams.aloneFaults
  /// Streams in the shared queue.
  private var sharing = 0
  private var background: Bubbles
  /// Where in the LRU order the next page is looked for: its extent, and its position at least.
  private var extent = 0
  private var front = 0
  /// What the last `next` promises; nil when nothing new.
  private(set) var promise: Promise?

  /// - Parameters:
  ///   - streams: followed at a time; 0 where another strategy is in use.
  ///   - inOrder: whether there is an LRU order for the background.
  init(streams count: Int, inOrder: Bool) {
    self.inOrder = inOrder
    capacity = count
    background = Bubbles(.dual, pivots: count == 0 ? 0 : Strategy.defaultPivots)
    // Three more: the heads of the queues.
    streams = .allocate(capacity: count + 3)
    streams.initialize(repeating: Stream(), count: count + 3)
    histories = .allocate(capacity: max(1, count))
    histories.initialize(repeating: History(), count: max(1, count))
    for head in count..<count + 3 {
      streams[head].previous = head
      streams[head].next = head
    }
  }

  deinit {
    streams.deallocate()
    histories.deallocate()
  }

  /// Streams whose program waited and that were not served since; in the order of the waits.
  private var freshQueue: Int { capacity }
  /// Streams that take turns.
  private var sharedQueue: Int { capacity + 1 }
  /// Streams whose thread has been elsewhere for long.
  private var staleQueue: Int { capacity + 2 }

  // MARK: - Faults

  /// - Returns: what the stream that the wait belongs to is certain to push.
  mutating func fault(
    _ slot: Int, context: UInt32, wasPending: Bool, _ pending: borrowing PendingSet,
    _ order: borrowing SlotOrder
  ) -> Promise? {
    faults += 1
    if context == 0 || context != latest && faults > 1 { othersStamp = faults }
    latest = context
    // What surrounds it would only keep the order from catching up.
    let isNew = wasPending && !isDue(slot, order)
    if isNew { background.fault(slot) }
    let stride = stride(to: slot, context: context, pending)
    if let index = stream(at: slot, context: context, wasPending: wasPending) {
      // Who leaves pages out may go anywhere.
      let isNext = isNext(slot, of: streams[index])
      advance(index, to: slot, stride: stride)
      return isNext ? promise(index, from: streams[index].ahead, slots: pending.count) : nil
    }
    guard isNew else { return nil }
    let index = begin(slot, context: context, stride: stride)
    return promise(index, from: streams[index].ahead, slots: pending.count)
  }

  /// Whether only one thread has waited for some time, and it is known which.
  private var isAlone: Bool { faults - othersStamp >= Self.aloneFaults }

  private func isDue(_ slot: Int, _ order: borrowing SlotOrder) -> Bool {
    guard inOrder else { return false }
    return (front..<front + Self.dueInOrder).contains(order.position(of: slot))
  }

  /// Whether a program that waits for the slot has had every page of the stream before it.
  private func isNext(_ slot: Int, of stream: Stream) -> Bool {
    switch stream.stride {
    case 0: stream.behind <= slot && slot <= stream.ahead
    case 1: slot <= stream.ahead
    case -1: slot >= stream.ahead
    default: false
    }
  }

  /// As much of a stream's window, from a slot on, as is promised at a time; nil where it has no such slots, or where its
  /// pages do not follow each other, or may yet go either way.
  private mutating func promise(_ index: Int, from first: Int, slots: Int) -> Promise? {
    let stream = streams[index]
    guard abs(stream.stride) == 1 else { return nil }
    let room = stream.stride > 0 ? slots - first : first + 1
    let window = stream.window + 1 - (first - stream.seen) * stream.stride
    let most = isAlone ? Self.promiseMaxAlone / max(1, sharing) : Self.promiseMax
    let count = min(room, window, most)
    guard count > 0 else { return nil }
    streams[index].promised = first + count * stream.stride
    return Promise(first: first, count: count * stream.stride)
  }

  /// Promises more of a stream's window when most of what was promised has been given out: a program that finds every
  /// page in time would else come to the promise's end and ask. Not to a thread that waits alone, which loses little by
  /// asking, and tells by it which of its streams is late.
  private mutating func extendPromise(_ index: Int, slots: Int) {
    guard !isAlone, (1...Self.promiseMax / 2).contains(promisedLeft(index)),
      waitsElsewhere(index) < Self.staleFaults / 2
    else { return }
    promise = promise(index, from: streams[index].promised, slots: slots)
  }

  /// How many slots from the next one on have been promised; none where pages do not follow each other.
  private func promisedLeft(_ index: Int) -> Int {
    let stream = streams[index]
    return abs(stream.stride) == 1 ? (stream.promised - stream.ahead) * stream.stride : 0
  }

  /// The stream that a wait continues: of the same thread, and the one whose edge is nearest.
  private func stream(at slot: Int, context: UInt32, wasPending: Bool) -> Int? {
    var best: Int?
    var bestDistance = Int.max
    for index in 0..<count where streams[index].context == context {
      let stream = streams[index]
      guard !isStale(index) || isTakenUp(stream, by: slot, wasPending: wasPending) else { continue }
      let distance: Int
      switch stream.stride {
      case 0:
        guard slot > stream.behind - Self.reach, slot < stream.ahead + Self.reach else {
          continue
        }
        distance = abs(slot - stream.seen)
      case 1:
        guard slot >= stream.seen, slot < stream.ahead + Self.reach else { continue }
        distance = abs(slot - stream.ahead)
      case -1:
        guard slot <= stream.seen, slot > stream.ahead - Self.reach else { continue }
        distance = abs(slot - stream.ahead)
      default:
        let low = min(stream.seen, stream.ahead + stream.stride)
        let high = max(stream.seen, stream.ahead + stream.stride)
        guard slot >= low, slot <= high, (slot - stream.seen) % stream.stride == 0 else {
          continue
        }
        distance = abs(slot - stream.ahead)
      }
      if distance < bestDistance {
        best = index
        bestDistance = distance
      }
    }
    return best
  }

  /// Whether a stream whose thread has been elsewhere for long goes on. Only a wait that is hardly for anything else says so:
  /// for a page that was given out already, or, of a strided one, for the very page that it would take next.
  private func isTakenUp(_ stream: Stream, by slot: Int, wasPending: Bool) -> Bool {
    wasPending ? abs(stream.stride) > 1 && slot == stream.ahead : abs(stream.stride) == 1
  }

  private mutating func advance(_ index: Int, to slot: Int, stride: Int?) {
    guard slot != streams[index].seen else { return }
    let strideBefore = streams[index].stride
    let changesStride = stride.map { $0 != strideBefore } ?? false
    leavePromised(index, before: changesStride ? streams[index].promised : slot)
    if let stride, changesStride {
      streams[index].stride = stride
      streams[index].ahead = slot
      streams[index].promised = slot
    } else if streams[index].stride == 0 {
      let goesUp = slot > streams[index].seen
      streams[index].stride = goesUp ? 1 : -1
      if !goesUp { streams[index].ahead = streams[index].behind }
      streams[index].promised = slot
    }
    let step = streams[index].stride
    if (slot - streams[index].ahead) * step.signum() >= 0 {
      streams[index].ahead = slot + step
    }
    streams[index].seen = slot
    let run = abs(slot - streams[index].start) / abs(step)
    let growth = step == strideBefore ? Self.growth : Self.firstGrowth
    streams[index].window = min(streams[index].window * growth, Self.firstWindow + growth * run)
    hurry(index)
  }

  /// Has a stream of its own push what a stream has promised before a slot, and goes past now: a program may wait for it.
  private mutating func leavePromised(_ index: Int, before slot: Int) {
    let stream = streams[index]
    guard abs(stream.stride) == 1 else { return }
    let count = min((slot - stream.ahead) * stream.stride, promisedLeft(index))
    guard count > 0 else { return }
    let rest = vacancy()
    // It was the one that waited longest ago.
    guard rest != index else { return }
    streams[rest] = stream
    streams[rest].start = stream.ahead
    streams[rest].seen = stream.ahead - stream.stride
    streams[rest].window = count
    streams[rest].promised = stream.ahead + count * stream.stride
    streams[rest].queue = -1
    join(rest, sharedQueue)
  }

  /// Where a new stream finds room; without any, in the place of the one that waited longest ago.
  private mutating func vacancy() -> Int {
    guard count == capacity else {
      count += 1
      return count - 1
    }
    let index = (0..<count).min { streams[$0].stamp < streams[$1].stamp }!
    leaveQueue(index)
    return index
  }

  private mutating func begin(_ slot: Int, context: UInt32, stride: Int?) -> Int {
    let index = vacancy()
    streams[index] = Stream(
      start: slot, seen: slot, stride: stride ?? 0, ahead: slot + (stride ?? 1), behind: slot - 1,
      window: Self.firstWindow, context: context)
    hurry(index)
    return index
  }

  /// Queues a stream: before all others if nothing that its program comes to next is on its way.
  private mutating func hurry(_ index: Int) {
    let stream = streams[index]
    let isServed = stream.stride != 0 && stream.ahead != stream.seen + stream.stride
    streams[index].stamp = faults
    streams[index].threadStamp = histories[place(of: stream.context)].waits
    leaveQueue(index)
    join(index, isServed ? sharedQueue : freshQueue)
  }

  private func place(of context: UInt32) -> Int {
    Int((context &* 0x9E37_79B9) >> 16) % capacity
  }

  /// Whether a stream's thread has been elsewhere for long.
  private func isStale(_ index: Int) -> Bool { waitsElsewhere(index) >= Self.staleFaults }

  /// How often a stream's thread has waited since it did for the stream; 0 of a thread that is forgotten.
  private func waitsElsewhere(_ index: Int) -> Int {
    let history = histories[place(of: streams[index].context)]
    guard history.context == streams[index].context else { return 0 }
    return history.waits - streams[index].threadStamp
  }

  /// The stride that a thread's last waits show, when they lie equally far apart.
  ///
  /// Waits at the edge of what is pushed may lie so too: there the page just before was not left
  /// out.
  private mutating func stride(
    to slot: Int, context: UInt32, _ pending: borrowing PendingSet
  ) -> Int? {
    let hash = place(of: context)
    if histories[hash].context != context || histories[hash].count == 0 {
      histories[hash] = History(context: context, count: 0)
    }
    histories[hash].waits += 1
    let known = histories[hash].count
    let last = histories[hash].slots
    if known > 0, last.0 == slot { return nil }
    histories[hash].slots = (slot, last.0, last.1, last.2)
    histories[hash].count = min(4, known + 1)

    func fits(_ near: Int, _ far: Int) -> Bool {
      let stride = slot - near
      return stride == near - far && abs(stride) > 1
        && pending.contains(slot - stride.signum())
    }
    if known >= 2, fits(last.0, last.1) { return slot - last.0 }
    // Two streams in turn.
    if known >= 4, fits(last.1, last.3) { return slot - last.1 }
    // As another of its streams went before: one that has come to the end of memory begins again.
    for index in 0..<count where streams[index].context == context {
      let stride = streams[index].stride
      let near = slot - stride
      if abs(stride) > 1, near == last.0 || near == last.1 || near == last.2 || near == last.3,
        pending.contains(slot - stride.signum())
      {
        return stride
      }
    }
    return nil
  }

  // MARK: - Pushes

  mutating func next(_ pending: inout PendingSet, _ order: borrowing SlotOrder) -> Int? {
    promise = nil
    while streams[freshQueue].next != freshQueue {
      let index = streams[freshQueue].next
      leaveQueue(index)
      if waitsElsewhere(index) > 0 {
        join(index, sharedQueue)
      } else if let slot = step(index, &pending) {
        join(index, sharedQueue)
        extendPromise(index, slots: pending.count)
        return slot
      } else if looksFurther(index, slots: pending.count) {
        join(index, sharedQueue)
      }
    }
    var looks = 0
    while streams[sharedQueue].next != sharedQueue {
      let index = streams[sharedQueue].next
      leaveQueue(index)
      if isStale(index), promisedLeft(index) <= 0 {
        join(index, staleQueue)
      } else if let slot = step(index, &pending) {
        join(index, sharedQueue)
        extendPromise(index, slots: pending.count)
        return slot
      } else if looksFurther(index, slots: pending.count) {
        join(index, sharedQueue)
        looks += 1
        if looks == Self.looksMax { return nextOfBackground(&pending, order) }
      }
    }
    while streams[staleQueue].next != staleQueue {
      let index = streams[staleQueue].next
      if let slot = step(index, &pending) { return slot }
      leaveQueue(index)
    }
    return nextOfBackground(&pending, order)
  }

  /// The page that a stream takes next; nil when its window is used up.
  private mutating func step(_ index: Int, _ pending: inout PendingSet) -> Int? {
    let stream = streams[index]
    switch stream.stride {
    case 0:
      for _ in 0..<2 {
        streams[index].goesBehind.toggle()
        if streams[index].goesBehind {
          if let slot = pending.next(from: stream.ahead), slot - stream.seen <= stream.window {
            streams[index].ahead = slot + 1
            return slot
          }
        } else if let slot = pending.previous(from: stream.behind),
          stream.seen - slot <= stream.window
        {
          streams[index].behind = slot - 1
          return slot
        }
      }
      return nil
    case 1:
      guard let slot = pending.next(from: stream.ahead), slot - stream.seen <= stream.window
      else { return nil }
      streams[index].ahead = slot + 1
      return slot
    case -1:
      guard let slot = pending.previous(from: stream.ahead), stream.seen - slot <= stream.window
      else { return nil }
      streams[index].ahead = slot - 1
      return slot
    default:
      for _ in 0..<Self.strideTries where looksFurther(index, slots: pending.count) {
        let slot = streams[index].ahead
        streams[index].ahead += stream.stride
        if pending.contains(slot) { return slot }
      }
      return nil
    }
  }

  /// Whether a strided stream's next page, which may have been sent, is within its window.
  private func looksFurther(_ index: Int, slots: Int) -> Bool {
    let stream = streams[index]
    return abs(stream.stride) > 1 && stream.ahead >= 0 && stream.ahead < slots
      && abs(stream.ahead - stream.seen) <= stream.window * abs(stream.stride)
  }

  private mutating func nextOfBackground(
    _ pending: inout PendingSet, _ order: borrowing SlotOrder
  ) -> Int? {
    if let slot = background.nextOfPivots(pending) { return slot }
    while inOrder, extent < order.extentCount {
      let run = order.extent(extent)
      if let slot = pending.next(from: run.slot), slot < run.slot + run.count {
        front = run.position + slot - run.slot
        return slot
      }
      extent += 1
      front = run.position + run.count
    }
    return pending.next(from: 0)
  }

  // MARK: - Queues

  private mutating func leaveQueue(_ index: Int) {
    let stream = streams[index]
    guard stream.queue >= 0 else { return }
    if stream.queue == sharedQueue { sharing -= 1 }
    streams[stream.previous].next = stream.next
    streams[stream.next].previous = stream.previous
    streams[index].queue = -1
  }

  /// Puts a stream that is in no queue at the end of one.
  private mutating func join(_ index: Int, _ queue: Int) {
    if queue == sharedQueue { sharing += 1 }
    let last = streams[queue].previous
    streams[index].queue = queue
    streams[index].previous = last
    streams[index].next = queue
    streams[last].next = index
    streams[queue].previous = index
  }
}
