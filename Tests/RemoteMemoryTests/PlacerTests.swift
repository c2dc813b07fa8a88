// SPDX-License-Identifier: Apache-2.0
import CTestSupport
import Foundation
import RMAP
import Synchronization
import TestSupport
import Testing

@testable import RemoteMemory

/// Real faults of threads of this process.
@Suite(.serialized) struct PlacerTests {
  @Test func faultsOfManyThreadsAreServedWhileOthersRun() throws {
    let pages = 256
    let memory = try OwnMemory(pages: UInt64(pages))
    var placer = try ownService(memory)
    let source = SourcePages(pages)
    let address = Int(memory.address)
    let wrong = Atomic<Int>(0)
    let turns = Atomic<Int>(0)
    let stop = Atomic<Bool>(false)
    let free = ProgramThread {
      while !stop.load(ordering: .relaxed) { turns.add(1, ordering: .relaxed) }
    }
    let threads = (0..<4).map { thread in
      ProgramThread {
        let base = UnsafeRawPointer(bitPattern: address)!
        for index in 0..<pages {
          let page = (index + thread * pages / 8) % pages
          if !holds(base + page * Wire.pageBytes, SourcePages.word(page)) {
            wrong.add(1, ordering: .relaxed)
          }
        }
      }
    }
    // All wait, or none could: nothing is placed yet.
    var batch = EventBatch()
    var asked = AskedSlots()
    let end = Date().addingTimeInterval(30)
    while asked.threads.count < 4 {
      try #require(Date() < end)
      try placer.takeEvents(of: 0, batch: &batch, sink: &asked)
    }
    let before = turns.load(ordering: .relaxed)
    while turns.load(ordering: .relaxed) == before { try #require(Date() < end) }
    #expect(threads.allSatisfy { !$0.hasEnded })
    for slot in asked.slots {
      #expect(try placer.place(slot: slot, page: source[slot]))
    }
    let more = try serve(&placer, source, until: { threads.allSatisfy(\.hasEnded) })
    stop.store(true, ordering: .relaxed)
    while !free.hasEnded { sched_yield() }
    #expect(wrong.load(ordering: .relaxed) == 0)
    #expect(placer.states.isComplete == true)
    #expect(placer.counters.placedAtOnce == UInt64(pages))
    #expect(asked.slots.count + more.slots.count == pages, "each slot is asked for once")
    #expect(!asked.threads.contains(0), "the kernel tells thread ids")
  }

  @Test func aPageThatTheProgramHasWrittenIsNeverChanged() throws {
    let memory = try OwnMemory(pages: 128)
    for page in stride(from: 0, to: 128, by: 3) {
      memory.base.storeBytes(of: 77, toByteOffset: page * Wire.pageBytes, as: UInt64.self)
    }
    var placer = try ownService(memory)
    let source = SourcePages(128)
    for slot in UInt64(0)..<128 {
      #expect(try placer.place(slot: slot, page: slot % 2 == 0 ? source[slot] : nil))
    }
    #expect(try placer.flush())
    for page in 0..<128 {
      let word = memory.base.load(fromByteOffset: page * Wire.pageBytes, as: UInt64.self)
      #expect(word == (page % 3 == 0 ? 77 : page % 2 == 0 ? SourcePages.word(page) : 0))
    }
    #expect(placer.counters.alreadyThere == 43)
    #expect(placer.counters.placed == 85)
    #expect(placer.states.isComplete == true)
    // What comes a second time changes nothing either, and costs no system call.
    let calls = placer.counters.calls
    #expect(try placer.place(slot: 1, page: source[5]) && placer.flush())
    #expect(placer.counters.calls == calls)
    #expect(memory.base.load(fromByteOffset: Wire.pageBytes, as: UInt64.self) == 0)
  }

  @Test(arguments: [false, true])
  func neighboursTakeOneCall(backward: Bool) throws {
    let memory = try OwnMemory(pages: 1024)
    var placer = try ownService(memory)
    let source = SourcePages(1024)
    for index in UInt64(0)..<1024 {
      let slot = backward ? 1023 - index : index
      #expect(try placer.place(slot: slot, page: source[slot]))
    }
    #expect(try placer.flush())
    #expect(placer.counters.calls == 16, "a call for 64 pages")
    #expect(placer.counters.placedInBatches == 1024)
  }

  @Test func severalStreamsMergeAtOnce() throws {
    let memory = try OwnMemory(pages: 1024)
    var placer = try ownService(memory)
    let source = SourcePages(1024)
    // Two pivots, each forward and backward in turn, as bubbling sends them.
    for step in UInt64(0)..<64 {
      for slot in [256 + step, 255 - step, 768 + step, 767 - step] {
        #expect(try placer.place(slot: slot, page: source[slot]))
      }
    }
    #expect(try placer.flush())
    #expect(placer.counters.calls == 4)
    #expect(placer.states.count(.present) == 256)
  }

  @Test(arguments: 1...12 as ClosedRange<UInt64>)
  func pushesRacingWithFaultsLeaveTheRightBytes(seed: UInt64) throws {
    let pages = 512
    let memory = try OwnMemory(pages: UInt64(pages))
    var placer = try ownService(memory, lanes: Int(1 + seed % 4))
    let source = SourcePages(pages)
    let address = Int(memory.address)
    let wrong = Atomic<Int>(0)
    let threads = (UInt64(0)..<3).map { thread in
      ProgramThread {
        var random = SeededGenerator(seed: seed << 8 | thread)
        let base = UnsafeMutableRawPointer(bitPattern: address)!
        var order = Array(0..<pages)
        order.shuffle(using: &random)
        for page in order {
          let at = base + page * Wire.pageBytes
          // Each thread has a word of its own in each page, written at the first touch.
          let mine = Int(thread) * 8
          if at.load(fromByteOffset: 2048 + mine, as: UInt64.self) != SourcePages.word(page) {
            wrong.add(1, ordering: .relaxed)
          }
          at.storeBytes(of: 1 << 40 | thread, toByteOffset: mine, as: UInt64.self)
        }
      }
    }
    var random = SeededGenerator(seed: seed)
    // Each page twice, once in the order of slots and once in any, in batches of any length.
    var pushes =
      (0..<pages).map { UInt64($0) } + (0..<pages).map { UInt64($0) }.shuffled(using: &random)
    pushes.reverse()
    _ = try serve(
      &placer, source, until: { threads.allSatisfy(\.hasEnded) && pushes.isEmpty },
      push: { placer in
        for _ in 0..<Int.random(in: 0...40, using: &random) where !pushes.isEmpty {
          let slot = pushes.removeLast()
          let pushed = try placer.place(slot: slot, page: source[slot])
          #expect(pushed)
        }
      })
    #expect(wrong.load(ordering: .relaxed) == 0, "seed \(seed)")
    for page in 0..<pages {
      for word in 0..<Wire.pageBytes / 8 {
        let found = memory.base.load(
          fromByteOffset: page * Wire.pageBytes + word * 8, as: UInt64.self)
        let right = word < 3 ? 1 << 40 | UInt64(word) : SourcePages.word(page)
        if found != right {
          Issue.record("seed \(seed): page \(page), word \(word) is \(found), not \(right)")
          return
        }
      }
    }
    #expect(placer.states.isComplete == true)
    #expect(placer.counters.placed == UInt64(pages), "seed \(seed): each page is placed once")
  }

  @Test func pagesComeFromAnyAddress() throws {
    let memory = try OwnMemory(pages: 2)
    var placer = try ownService(memory)
    let ring = UnsafeMutableRawPointer.allocate(byteCount: 3 * Wire.pageBytes, alignment: 4096)
    defer { ring.deallocate() }
    for word in 0..<512 { (ring + 66).storeBytes(of: 9, toByteOffset: word * 8, as: UInt64.self) }
    let isFirst = placer.states.await(0)
    #expect(isFirst)
    #expect(try placer.place(slot: 0, page: ring + 66))
    #expect(placer.counters.placedAtOnce == 1)
    #expect(holds(memory.base, 9))
  }

  @Test func aPageThatTheProgramDiscardedReadsAsZeros() throws {
    let memory = try OwnMemory(pages: 4)
    var placer = try ownService(memory)
    let source = SourcePages(4)
    for slot in UInt64(0)..<4 { _ = try placer.place(slot: slot, page: source[slot]) }
    #expect(try placer.flush())
    #expect(madvise(memory.base, Int(memory.length), MADV_DONTNEED) == 0)
    let address = Int(memory.address)
    let sum = Atomic<UInt64>(1)
    let thread = ProgramThread {
      let base = UnsafeRawPointer(bitPattern: address)!
      sum.store(
        (0..<4).reduce(0) { $0 + (base + $1 * 4096).load(as: UInt64.self) }, ordering: .relaxed)
    }
    let asked = try serve(&placer, source, until: { thread.hasEnded })
    #expect(sum.load(ordering: .relaxed) == 0)
    #expect(asked.slots.isEmpty)
    #expect(placer.counters.lateFaults == 4)
  }

  @Test(arguments: [false, true])
  func anAccessToALostPageFailsAndTheRestGoesOn(withoutPoison: Bool) throws {
    let memory = try OwnMemory(pages: 3)
    var placer = try ownService(memory)
    let source = SourcePages(3)
    if withoutPoison {
      let placement = placer.userfaultfds[0].poisonWithoutKernel(
        at: memory.address + 4096, pages: 1)
      #expect(placement == Userfaultfd.Placement(placed: 1, obstacle: nil))
    } else {
      #expect(try placer.lose(slot: 1))
      #expect(placer.states[1] == .lost && placer.counters.poisoned == 1)
      #expect(try placer.place(slot: 1, page: source[1]), "what comes late changes nothing")
    }
    // The kernel reads for us: it gets EFAULT where we would get SIGBUS.
    let null = open("/dev/zero", O_RDONLY)
    defer { close(null) }
    #expect(read(null, memory.base + 4096, 1) == -1 && errno == EFAULT)
    for slot in [UInt64(0), 2] { _ = try placer.place(slot: slot, page: source[slot]) }
    #expect(try placer.flush())
    #expect(holds(memory.base + 8192, 3))
  }

  @Test func aMappingCutInTwoIsFilled() throws {
    let memory = try OwnMemory(pages: 16)
    #expect(mprotect(memory.base + 8 * 4096, 8 * 4096, PROT_READ) == 0)
    var placer = try ownService(memory)
    let source = SourcePages(16)
    for slot in UInt64(0)..<16 { _ = try placer.place(slot: slot, page: source[slot]) }
    #expect(try placer.flush())
    for page in 0..<16 { #expect(holds(memory.base + page * 4096, SourcePages.word(page))) }
  }

  @Test func pagesOfWhatTheProgramUnmappedAreDropped() throws {
    let memory = try OwnMemory(pages: 16)
    var placer = try ownService(memory)
    let source = SourcePages(16)
    #expect(munmap(memory.base + 4 * 4096, 4 * 4096) == 0)
    for slot in UInt64(0)..<16 { _ = try placer.place(slot: slot, page: source[slot]) }
    #expect(try placer.flush())
    #expect(placer.counters.unwanted == 4 && placer.counters.placed == 12)
    #expect(placer.states.isComplete == true)
    #expect(holds(memory.base + 15 * 4096, 16))
  }

  @Test func nothingIsAllocatedForEachPage() throws {
    let memory = try OwnMemory(pages: 4096)
    var placer = try ownService(memory)
    let source = SourcePages(64)
    test_watch_allocations(test_thread_id())
    for slot in UInt64(0)..<4096 {
      if slot % 5 == 0 { _ = placer.states.await(slot) }
      _ = try placer.place(slot: slot, page: source[slot % 64])
    }
    try placer.flush()
    let allocations = test_allocations()
    test_watch_allocations(0)
    #expect(allocations == 0)
    #expect(placer.states.isComplete == true)
  }

  @Test func slotsPastTheRegionAreRefused() throws {
    let memory = try OwnMemory(pages: 4)
    var placer = try ownService(memory)
    #expect(throws: RemoteMemoryError.self) { _ = try placer.place(slot: 4, page: nil) }
    #expect(throws: RemoteMemoryError.self) { _ = try placer.lose(slot: .max) }
  }
}
