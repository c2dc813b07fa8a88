// SPDX-License-Identifier: Apache-2.0
import CFloor
import CMemx
import Glibc
import Histogram
import Links
import RMAP
import RemoteMemory

/// What the touches of a run took.
struct TouchFigures {
  var p50_us: Double
  var p99_us: Double
  var pages_per_s: Double
}

/// One thread touches every page of new memory once; another serves.
struct TouchRun {
  private let pages: Int
  private let order: [Int]

  init(pages: Int, seed: UInt64) {
    self.pages = pages
    var random = SplitMix(state: seed)
    order = Array(0..<pages).shuffled(using: &random)
  }

  func measure(_ system: UserfaultSystem) throws -> TouchFigures {
    let source = FramePages(pages: pages)
    let bed = try UserfaultBed(pages: pages)
    let base = bed.memory.base
    let service = TouchService(bed, system, source: source.base)
    try service.start()
    var touches = TouchTimes()
    var wrong = 0
    let start_ns = monotonic_ns()
    for page in order {
      let before_ns = monotonic_ns()
      let word = memx_touch_load(base + page * Wire.pageBytes)
      touches.record(monotonic_ns() - before_ns)
      if word != source[page].load(as: UInt64.self) { wrong += 1 }
    }
    let elapsed_ns = monotonic_ns() - start_ns
    try service.stop()
    guard wrong == 0 else { throw RemoteMemoryError("\(wrong) pages were wrong") }
    return TouchFigures(
      p50_us: touches.percentile_us(50), p99_us: touches.percentile_us(99),
      pages_per_s: Double(pages) * 1e9 / Double(elapsed_ns))
  }
}

private struct TouchTimes: ~Copyable {
  private var histogram = Histogram<UInt32>(
    lowestDiscernibleValue: 10, highestTrackableValue: 100_000_000_000,
    numberOfSignificantValueDigits: .three)

  mutating func record(_ ns: UInt64) { _ = histogram.record(ns) }

  func percentile_us(_ percentile: Double) -> Double {
    Double(histogram.valueAtPercentile(percentile)) / 1000
  }
}

/// The thread that serves.
///
/// `@unchecked Sendable`: `bed` and `failure` are the thread's own from `start` until `stop` has joined it.
private final class TouchService: @unchecked Sendable {
  private var bed: UserfaultBed
  private let system: UserfaultSystem
  private let source: UnsafeMutableRawPointer
  private let stopper = memx_wake_open()
  private var thread = pthread_t()
  private var failure: (any Error)?

  init(_ bed: consuming UserfaultBed, _ system: UserfaultSystem, source: UnsafeMutableRawPointer) {
    self.bed = bed
    self.system = system
    self.source = source
  }

  deinit { close(stopper) }

  func start() throws {
    let code = pthread_create(
      &thread, nil,
      { service in
        Unmanaged<TouchService>.fromOpaque(service!).takeUnretainedValue().serve()
        return nil
      }, Unmanaged.passUnretained(self).toOpaque())
    guard code == 0 else { throw RemoteMemoryError("cannot start a thread: errno \(code)") }
  }

  func stop() throws {
    memx_wake(stopper)
    pthread_join(thread, nil)
    if let failure { throw failure }
  }

  private func serve() {
    do {
      switch system {
      case .floor:
        let code = floor_serve(bed.fileDescriptor, stopper, bed.memory.address, source)
        guard code == 0 else { throw RemoteMemoryError("the floor: errno \(code)") }
      case .memx: try serveByPlacer()
      }
    } catch {
      // The program would wait for ever.
      failure = error
      try? bed.placer.userfaultfds[0].unregister(
        address: bed.memory.address, length: bed.memory.length)
    }
  }

  private func serveByPlacer() throws {
    var batch = EventBatch(capacity: 16)
    var asked = AskedSlots(capacity: 16)
    var polled = [
      pollfd(fd: bed.fileDescriptor, events: Int16(POLLIN), revents: 0),
      pollfd(fd: stopper, events: Int16(POLLIN), revents: 0),
    ]
    while true {
      guard poll(&polled, 2, -1) >= 0 else { throw RemoteMemoryError("poll: errno \(errno)") }
      if polled[1].revents != 0 { return }
      asked.count = 0
      try bed.placer.takeEvents(of: 0, batch: &batch, sink: &asked)
      for index in 0..<asked.count {
        let slot = asked.slots[index]
        _ = try bed.placer.place(slot: slot, page: source + Int(slot) * Wire.pageBytes)
      }
      if bed.placer.hasStaged { _ = try bed.placer.flush() }
    }
  }
}

private struct AskedSlots: FaultSink, ~Copyable {
  var count = 0
  let slots: UnsafeMutablePointer<UInt64>

  init(capacity: Int) { slots = .allocate(capacity: capacity) }
  deinit { slots.deallocate() }

  mutating func faulted(slot: UInt64, thread: UInt32, isWrite: Bool, isFirst: Bool) {
    guard isFirst else { return }
    slots[count] = slot
    count += 1
  }
}
