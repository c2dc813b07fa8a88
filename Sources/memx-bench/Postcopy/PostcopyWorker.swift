// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import CMemx
import Console
import Processes
import RMAP
import RemoteMemory
import Workloads

/// One program of `memx-bench postcopy`, after the move or never moved; not for people.
///
/// Its standard input is one end of a socket pair. A program that moves hands its userfaultfd over there first.
/// Then it is told `state HEX` and, when it never moves, does its first steps, says `ready` and waits for
/// `go`. It says `progress STEPS` now and then, and `finished NS` with the monotonic clock's time; told
/// `verify`, it looks at every byte and says `verified`; or at any time `failed TEXT`.
struct PostcopyWorker: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "postcopy-worker", abstract: "One program of memx-bench postcopy.",
    shouldDisplay: false)

  @Option var pages: Int
  /// Where its pages begin in the region; nil when it never moves.
  @Option var firstSlot: Int?
  /// When it never moves: how many steps it does before it says that it is ready.
  @Option var firstSteps = 0
  @Option var trace: String?

  /// Steps between two looks at the clock.
  private static let chunk = 256
  private static let report_ns: UInt64 = 50_000_000

  func run() throws {
    // Nobody would wait for it without its parent.
    _ = memx_end_with_parent()
    let channel = LineChannel(STDIN_FILENO)
    do {
      if let firstSlot { try runMoved(channel, firstSlot) } else { try runAtHome(channel) }
    } catch {
      channel.send("failed \(error)")
      throw ExitCode.failure
    }
  }

  private func runMoved(_ channel: LineChannel, _ firstSlot: Int) throws {
    let memory = try OwnMemory(pages: UInt64(pages))
    // Open to the end: without the service, missing pages are waited for, and never read as zeros.
    let userfaultfd = try Userfaultfd()
    try userfaultfd.register(address: memory.address, length: memory.length)
    try HandOver.send(
      userfaultfd,
      mappings: [
        HandedMapping(
          address: memory.address, length: memory.length,
          offset: UInt64(firstSlot * Wire.pageBytes))
      ], over: channel.descriptor)
    var program = try receiveProgram(channel)
    try finish(&program, memory.base, channel)
    withExtendedLifetime(userfaultfd.fileDescriptor) {}
  }

  private func runAtHome(_ channel: LineChannel) throws {
    // Pages of 4 KiB, as userfaultfd gives them to those that move.
    let memory = try MappedMemory(pages: pages, hugePages: false)
    var program = try receiveProgram(channel)
    _ = try program.run(memory.base, steps: firstSteps)
    channel.send("ready")
    guard channel.next() == "go" else { throw RunFailure("nobody said go") }
    try finish(&program, memory.base, channel)
  }

  private func receiveProgram(_ channel: LineChannel) throws -> any MovableProgram {
    guard let line = channel.next(), line.hasPrefix("state "),
      let state = bytes(hexadecimal: line.dropFirst(6))
    else { throw RunFailure("no state came") }
    let program = try MovableKind.restore(state, trace: trace.map(readTrace))
    guard program.pages == pages else {
      throw RunFailure("the state is of \(program.pages) pages, not \(pages)")
    }
    return program
  }

  private func finish(
    _ program: inout any MovableProgram, _ memory: UnsafeMutableRawPointer,
    _ channel: LineChannel
  ) throws {
    var reported_ns = monotonicNs()
    while try !program.run(memory, steps: Self.chunk) {
      let now_ns = monotonicNs()
      guard now_ns &- reported_ns >= Self.report_ns else { continue }
      reported_ns = now_ns
      channel.send("progress \(program.stepsDone)")
    }
    channel.send("finished \(monotonicNs())")
    guard channel.next() == "verify" else { throw RunFailure("nobody said verify") }
    try program.verify(memory)
    channel.send("verified")
  }
}
