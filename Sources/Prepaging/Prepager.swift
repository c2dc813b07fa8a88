// SPDX-License-Identifier: Apache-2.0

/// Which page of a region is sent next, in one post-copy.
///
/// Every pending slot comes out exactly once, by `fault` when a program waits for it or else by
/// `next`, unless it is removed before. The same calls give the same answers: there is no clock and
/// no chance in it. All memory is taken by `init`: a little more than a bit for each slot, and 28
/// bytes for each extent of the order.
public struct Prepager: ~Copyable {
  /// How pages are chosen.
  public let strategy: Strategy
  /// The region's slots are `0..<slots`.
  public let slots: Int

  /// What the last `fault` or `next` has made certain to come out of `next` soon; nil where it has not.
  public private(set) var promise: Promise?

  /// By position where the strategy walks an order, else by slot.
  private var pending: PendingSet
  private var order: SlotOrder
  private let walksOrder: Bool
  private var bubble: Bubble
  private var bubbles: Bubbles
  private var streams: Streams
  private var replay: Replay

  /// A prepager with nothing to send yet.
  ///
  /// - Parameters:
  ///   - slots: of the region, 0 or more.
  ///   - order: slots in LRU order, youngest first; for a strategy that uses none it is ignored. Slots past the
  ///     end and slots named before count for nothing; slots that are not named come last, ascending.
  public init(_ strategy: Strategy, slots: Int, order: [SlotRange] = []) {
    precondition(slots >= 0, "a region has 0 slots or more")
    self.strategy = strategy
    self.slots = slots
    pending = PendingSet(count: slots)
    let hints = strategy.usesOrder ? order : []
    self.order = SlotOrder(slots: slots, hints: hints)
    var direction = Direction.forward
    var pivots = 0
    var (streams, threads) = (0, 0)
    switch strategy.kind {
    case .demandOnly, .push: break
    case .bubble(let way): direction = way
    case .bubbles(let way, let count): (direction, pivots) = (way, count)
    case .streams: streams = Streams.limit
    case .replay: threads = Replay.limit
    }
    // Streams follow programs, which walk slots; the order is only their background.
    walksOrder = !hints.isEmpty && strategy.kind != .streams
    bubble = Bubble(direction)
    bubbles = Bubbles(direction, pivots: pivots)
    self.streams = Streams(streams: streams, inOrder: !hints.isEmpty)
    replay = Replay(threads: threads)
  }

  /// Slots that are to be sent and have not been given out.
  public var remaining: Int { pending.remaining }

  /// Slots that the order named in vain: past the end, or named before.
  public var ignoredHints: Int { order.ignored }

  /// Bitmap words read so far to find pages: what the strategy's steps cost.
  var wordsVisited: Int { pending.wordsVisited }

  /// Has slots sent; what lies past the end of the region is ignored.
  public mutating func add(_ range: SlotRange) {
    let range = range.clipped(to: slots)
    guard walksOrder else { return pending.insert(range) }
    order.forEachRun(of: range) { pending.insert($0) }
  }

  /// Has a slot not sent, since the client has it, freed it or wrote it anew; whether it was
  /// pending.
  public mutating func remove(_ slot: Int) -> Bool {
    guard let position = position(of: slot) else { return false }
    return pending.remove(position)
  }

  /// Has slots not sent; what lies past the end of the region is ignored.
  public mutating func remove(_ range: SlotRange) {
    let range = range.clipped(to: slots)
    guard walksOrder else { return pending.remove(range) }
    order.forEachRun(of: range) { pending.remove($0) }
  }

  /// Whether a slot is to be sent and has not been given out.
  public func isPending(_ slot: Int) -> Bool {
    guard let position = position(of: slot) else { return false }
    return pending.contains(position)
  }

  /// Takes a slot that a program waits for, which shifts where pages are pushed.
  ///
  /// A fault on a page that was already given out moves no pivot, as in Figure 2; `streams` learns
  /// from it that the program has caught up with what is on its way.
  ///
  /// - Parameter context: which of the client's threads waits, 0 when that is not known.
  /// - Returns: whether it was pending, so that it is to be sent now.
  public mutating func fault(_ slot: Int, context: UInt32) -> Bool {
    guard let position = position(of: slot) else { return false }
    let wasPending = pending.remove(position)
    promise = nil
    switch strategy.kind {
    case .demandOnly, .push: break
    case .bubble: if wasPending { bubble.fault(position) }
    case .bubbles: if wasPending { bubbles.fault(position) }
    case .streams:
      promise = streams.fault(
        slot, context: context, wasPending: wasPending, pending, order)
    case .replay:
      if wasPending { promise = replay.fault(position, context: context, pending, &order) }
    }
    return wasPending
  }

  /// Takes the slot to push next; nil when there is nothing more to push.
  public mutating func next() -> Int? {
    let position: Int?
    promise = nil
    switch strategy.kind {
    case .demandOnly: return nil
    case .push: position = pending.next(from: 0)
    case .bubble: position = bubble.next(&pending)
    case .bubbles: position = bubbles.next(&pending)
    case .streams:
      position = streams.next(&pending, order)
      promise = streams.promise
    case .replay:
      position = replay.next(&pending, &order)
      promise = replay.promise
    }
    guard let position else { return nil }
    _ = pending.remove(position)
    return walksOrder ? order.slot(at: position) : position
  }

  private func position(of slot: Int) -> Int? {
    guard slot >= 0, slot < slots else { return nil }
    return walksOrder ? order.position(of: slot) : slot
  }
}
