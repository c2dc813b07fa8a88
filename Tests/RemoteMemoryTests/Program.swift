// SPDX-License-Identifier: Apache-2.0
import CTestSupport
import Foundation
import RMAP
import RemoteMemory
import Synchronization
import Testing

/// A thread of a program under test, which may wait for pages.
final class ProgramThread: Sendable {
  private let ended = Atomic<Bool>(false)

  init(_ body: @escaping @Sendable () -> Void) {
    Thread { [self] in
      body()
      ended.store(true, ordering: .releasing)
    }.start()
  }

  var hasEnded: Bool { ended.load(ordering: .acquiring) }
}

/// The pages of a region as the source has them: every word of page n is n + 1, as in C's test programs.
final class SourcePages: @unchecked Sendable {  // Written in init alone.
  let base: UnsafeMutableRawPointer
  let pages: Int

  init(_ pages: Int) {
    self.pages = pages
    base = .allocate(byteCount: pages * Wire.pageBytes, alignment: Wire.pageBytes)
    for word in 0..<pages * Wire.pageBytes / 8 {
      base.storeBytes(
        of: Self.word(word * 8 / Wire.pageBytes), toByteOffset: word * 8, as: UInt64.self)
    }
  }

  deinit { base.deallocate() }

  static func word(_ page: Int) -> UInt64 { UInt64(page) + 1 }

  subscript(slot: UInt64) -> UnsafeRawPointer {
    UnsafeRawPointer(base + Int(slot) * Wire.pageBytes)
  }
}

/// The slots that faults ask for, in order.
struct AskedSlots: FaultSink {
  var slots: [UInt64] = []
  var threads: Set<UInt32> = []
  var writes = 0
  var repeated = 0

  mutating func faulted(slot: UInt64, thread: UInt32, isWrite: Bool, isFirst: Bool) {
    if isFirst { slots.append(slot) } else { repeated += 1 }
    threads.insert(thread)
    if isWrite { writes += 1 }
  }
}

/// A service of one area in this process.
func ownService(
  _ memory: borrowing OwnMemory, registered: Bool = true, lanes: Int = 8
) throws -> Placer {
  let userfaultfd = try Userfaultfd()
  if registered { try userfaultfd.register(address: memory.address, length: memory.length) }
  var table = UserfaultfdTable()
  try table.append(userfaultfd)
  let areas = try Areas(
    [Area(address: memory.address, pages: memory.pages)], slots: memory.pages, userfaultfds: 1)
  return Placer(
    areas: areas, userfaultfds: table, states: SlotStates(slots: memory.pages), lanes: lanes)
}

/// Serves faults from `source` until `isDone`, and before each round lets `push` do what it likes.
func serve(
  _ placer: inout Placer, _ source: SourcePages, until isDone: () -> Bool,
  push: (inout Placer) throws -> Void = { _ in }
) throws -> AskedSlots {
  var batch = EventBatch(capacity: 16)
  var asked = AskedSlots()
  var answered = 0
  let end = Date().addingTimeInterval(30)
  while !isDone() {
    try #require(Date() < end, "the program still waits after 30 s")
    for index in 0..<placer.userfaultfds.count {
      try placer.takeEvents(of: index, batch: &batch, sink: &asked)
    }
    while answered < asked.slots.count {
      let slot = asked.slots[answered]
      guard try placer.place(slot: slot, page: source[slot]) else { break }
      answered += 1
    }
    try push(&placer)
    try placer.flush()
    sched_yield()
  }
  return asked
}

/// Does every word of a page have a value?
func holds(_ page: UnsafeRawPointer, _ value: UInt64) -> Bool {
  for offset in stride(from: 0, to: Wire.pageBytes, by: 8)
  where page.load(fromByteOffset: offset, as: UInt64.self) != value { return false }
  return true
}
